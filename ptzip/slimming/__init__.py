"""ptzip slim."""
