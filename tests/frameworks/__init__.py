"""Real checkpoints of real frameworks, slimmed and loaded again; run by hand, each in its own environment."""
