"""ptzip repair."""
