"""How much a file may ask for: one frozen value, checked before memory is taken."""

from typing import NamedTuple

from ptzip.errors import LimitError


class Limits(NamedTuple):
    """Upper bounds for one file: counts, and sizes in bytes. The defaults let through every honest checkpoint that is known.

    `opcodes`, `marks` (open at once), `memo_index`, `nesting` (containers that hold nothing but the next) and `pickle_bytes`
    are of one pickle, `directory_bytes` of a zip's central directory, `unpacked_bytes` of what is inside a compressed file.
    """

    opcodes: int = 50_000_000
    marks: int = 1_000_000
    memo_index: int = 100_000_000
    nesting: int = 10_000_000
    pickle_bytes: int = 1 << 30
    directory_bytes: int = 1 << 28
    unpacked_bytes: int = 1 << 36


DEFAULT_LIMITS = Limits()

LONGEST_NUMBER = 4096
"""Integers of more bits are spelled as hexadecimal text: Python refuses to make decimals of very many digits."""


def is_spelled(value: object) -> bool:
    """Whether Python makes decimals of a value, should it be an integer."""
    return not isinstance(value, int) or value.bit_length() <= LONGEST_NUMBER


def spelled(value: object) -> str:
    """A plain value as Python spells it."""
    return hex(value) if isinstance(value, int) and not is_spelled(value) else str(value)


FREE_REPEATS = 1 << 26
MOST_REPEATS = 64
"""A copy of at most so many bytes is made without asking; a larger one only up to so many times what is stored of it."""


def check_repeats(copied: int, stored: int) -> None:
    """Raise LimitError where a few bytes stand for so many, by a stride of 0, that a copy would fill the memory."""
    if copied > max(FREE_REPEATS, MOST_REPEATS * stored):
        raise LimitError(f"a tensor repeats {stored} bytes into {copied}, more than is copied")
