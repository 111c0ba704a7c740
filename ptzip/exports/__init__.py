"""Tensors handed on: to safetensors, to numpy's npz, to a plain state dict, and from each of them to the others."""
