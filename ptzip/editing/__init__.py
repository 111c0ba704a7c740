"""Changes to the tree of a checkpoint."""
