"""ptzip inspect."""
