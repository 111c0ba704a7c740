"""Repairing: what can be saved of a damaged zip, written anew, and a list of what cannot."""
