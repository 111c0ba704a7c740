"""The formats of checkpoints on disk."""
