"""What torch means by storages and tensors: dtypes, references, bytes, casts."""
