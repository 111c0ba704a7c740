"""CRC-32 of bytes that are read in pieces, in any order, by any thread.

It is the CRC of APPNOTE 4.4.7 (zlib's). `zlib_ng` computes it as fast as memory is read, and combines the CRCs of pieces.
"""

import functools
from collections.abc import Callable


@functools.cache
def _fast() -> tuple[Callable[..., int], Callable[[int, int, int], int]]:
    from zlib_ng.zlib_ng import crc32, crc32_combine  # reading headers does without

    return crc32, crc32_combine


def crc32(data: bytes | memoryview, start: int = 0) -> int:
    """The CRC of some bytes, or of more bytes after those whose CRC is `start`."""
    return _fast()[0](data, start)


def combine(first: int, second: int, second_length: int) -> int:
    """The CRC of two consecutive pieces, from their CRCs and the length of the second."""
    return _fast()[1](first, second, second_length)


class Pieces:
    """The CRCs of consecutive pieces of one payload, in the order in which they were read."""

    def __init__(self) -> None:
        self._done: list[tuple[int, int, int]] = []

    def add(self, start: int, stop: int, crc: int) -> None:
        """Add the CRC of the bytes from `start` to `stop`; safe from any thread."""
        self._done.append((start, stop, crc))

    def __len__(self) -> int:
        return len(self._done)

    def crc(self, length: int) -> int | None:
        """The CRC of all `length` bytes, or None while some are missing."""
        at, total = 0, 0
        for start, stop, crc in sorted(set(self._done)):
            if start != at:
                return None
            at, total = stop, combine(total, crc, stop - start) if start else crc
        return total if at == length else None
