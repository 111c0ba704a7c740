"""Editing: what recipes and flags do to the tree of a checkpoint, and the account of it."""
