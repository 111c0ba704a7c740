"""ptzip verify."""
