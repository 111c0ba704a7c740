"""Faults of the system, one at each call that a command makes: errors, short reads and writes, signals, kills."""
