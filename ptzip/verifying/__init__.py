"""Verifying: is a file whole, and what will load it."""
