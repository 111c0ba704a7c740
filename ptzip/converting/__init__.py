"""ptzip convert."""
