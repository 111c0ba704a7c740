"""Comparing: what differs between two checkpoints, in their objects and in their tensors."""
