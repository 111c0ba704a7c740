"""Upper bounds for what a file may request, in one frozen value. Crossing one is a LimitError before memory is taken."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Upper bounds for one file. The defaults accept every honest checkpoint known.

    Counts for one pickle: `opcodes`, `marks` (open at once), `memo_index`, and `nesting` (containers whose only item is the
    next); for one zip: `entries`. Sizes in bytes: `pickle_bytes` of one pickle, `directory_bytes` of a zip's central directory,
    `unpacked_bytes` of the content of a compressed file.
    """

    opcodes: int = 50_000_000
    marks: int = 1_000_000
    memo_index: int = 1 << 22
    nesting: int = 10_000_000
    entries: int = 10_000_000
    pickle_bytes: int = 1 << 30
    directory_bytes: int = 1 << 28
    unpacked_bytes: int = 1 << 36


DEFAULT_LIMITS = Limits()
