"""A file that is nothing but payloads one after the other, as the old format of torch is.

Rule: each payload passes once, in order.
"""

from collections.abc import Callable
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.atomic_output import write_at
from ptzip.io.payloads import Payload


class Sequential(NamedTuple):
    """The payloads of a file."""

    parts: tuple[Payload, ...]

    @property
    def size(self) -> int:
        return sum(part.length for part in self.parts)

    @property
    def payloads(self) -> list[Payload]:
        return list(self.parts)

    def write(self, descriptor: int, progress: Callable[[int], None] | None = None) -> None:
        """Write everything to an open file."""
        at = 0
        for part in self.parts:
            start = at
            for chunk in part.chunks(0, part.length):
                write_at(descriptor, chunk, at)
                at += len(chunk)
                if progress:
                    progress(len(chunk))
            if at - start != part.length:
                raise FormatError(f"a part of the file gave {at - start} bytes, expected {part.length}")
