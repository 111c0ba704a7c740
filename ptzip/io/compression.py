"""How a compressed file begins; what unpacks it is in `wrapped`, which is loaded when there is something to unpack."""

from typing import NamedTuple

from ptzip.io.sources import Source


class Wrapping(NamedTuple):
    """A kind of compression and its first bytes."""

    name: str
    magic: bytes


GZIP, ZSTD = Wrapping("gzip", b"\x1f\x8b"), Wrapping("zstd", b"\x28\xb5\x2f\xfd")
"""RFC 1952 and RFC 8878."""


def wrapping(source: Source) -> Wrapping | None:
    """How a file is compressed, or None."""
    head = source.read(0, min(4, source.size))
    return next((kind for kind in (GZIP, ZSTD) if head.startswith(kind.magic)), None)
