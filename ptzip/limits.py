"""How much a file may ask for: one frozen value, checked before memory is taken."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for one file. The defaults let through every honest checkpoint that is known."""

    opcodes: int = 50_000_000
    marks: int = 1_000_000
    memo_index: int = 100_000_000
    pickle_bytes: int = 1 << 30
    directory_bytes: int = 1 << 28
    unpacked_bytes: int = 1 << 36


DEFAULT_LIMITS = Limits()
