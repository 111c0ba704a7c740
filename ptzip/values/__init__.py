"""Nodes to Python and numpy values."""
