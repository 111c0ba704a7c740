"""Reading the tree of a pickle: modules, paths, calls."""
