"""Slimming: the edit of a checkpoint by a recipe and flags, the file that comes of it, and the account of both."""
