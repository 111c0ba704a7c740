"""ptzip diff."""
