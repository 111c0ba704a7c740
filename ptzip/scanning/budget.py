"""How much one scan may read: opcodes, inflated bytes and pickles, over everything that lies in a file.

Rule: each file has one budget, so that a bomb cannot be cut into many small ones; what goes beyond is a `LimitError`, or for
opcodes an anomaly of the pickle that used up the last.
"""

from ptzip.errors import LimitError
from ptzip.io.sources import Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import Skip, read_seen

MOST_PICKLES = 100_000
MOST_INFLATED = 1 << 30
"""Bytes of deflated entries and packed files, all together."""


class Budget:
    """What is left of it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pickles = MOST_PICKLES
        self.inflated = MOST_INFLATED

    def read(self, data: Stream, at: int, skip: Skip | None = None) -> Pickle:
        """Read the pickle that begins at byte `at`, with the opcodes that are left."""
        pickle = read_seen(data, at, self.limits, skip)
        self.limits = self.limits._replace(opcodes=max(0, self.limits.opcodes - pickle.opcodes))
        return pickle

    def count(self) -> None:
        """Note one more pickle."""
        self.pickles -= 1
        if self.pickles < 0:
            raise LimitError(f"more than {MOST_PICKLES:,} pickles lie in the file")

    def inflate(self, size: int) -> None:
        """Note so many bytes, before they are made where that is known."""
        self.inflated -= size
        if self.inflated < 0:
            raise LimitError(f"more than {MOST_INFLATED:,} bytes are packed in the file")
