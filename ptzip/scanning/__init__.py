"""ptzip scan."""
