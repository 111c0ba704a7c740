"""CRC-32 of bytes that are read in pieces, in any order, by any thread.

It is the CRC of APPNOTE 4.4.7 (zlib's). Where `isal` is installed, it computes the same value several times faster.
"""

import functools
import zlib
from collections.abc import Callable


@functools.cache
def _fastest() -> Callable[..., int]:
    try:
        from isal.isal_zlib import crc32  # reading headers does without
    except ImportError:
        return zlib.crc32
    fastest: Callable[..., int] = crc32
    return fastest


def crc32(data: bytes | memoryview, start: int = 0) -> int:
    """The CRC of some bytes, or of more bytes after those whose CRC is `start`."""
    return _fastest()(data, start)


POLYNOMIAL = 0xEDB88320
"""The polynomial of CRC-32, lowest bit first."""


class Pieces:
    """The CRCs of consecutive pieces of one payload, in the order in which they were read."""

    def __init__(self) -> None:
        self._done: list[tuple[int, int, int]] = []

    def add(self, start: int, stop: int, crc: int) -> None:
        """Add the CRC of the bytes from `start` to `stop`; safe from any thread."""
        self._done.append((start, stop, crc))

    def crc(self, length: int) -> int | None:
        """The CRC of all `length` bytes, or None while some are missing."""
        at, total = 0, 0
        for start, stop, crc in sorted(set(self._done)):
            if start != at:
                return None
            at, total = stop, combine(total, crc, stop - start)
        return total if at == length else None


def combine(first: int, second: int, second_length: int) -> int:
    """The CRC of two consecutive pieces, from their CRCs and the length of the second.

    A CRC is linear over GF(2): appending zeros to the first piece multiplies it by a matrix that depends on their number
    only, and the second piece is then added (the idea is Mark Adler's, in zlib's `crc32_combine`).
    """
    if not first:  # no matrix changes 0: the case of every record of one piece
        return second
    exponent = 0
    while second_length >> exponent:
        if second_length >> exponent & 1:
            first = _apply(_zeros(exponent), first)
        exponent += 1
    return first ^ second


def _apply(matrix: tuple[int, ...], vector: int) -> int:
    product = 0
    for bit, column in enumerate(matrix):
        if vector >> bit & 1:
            product ^= column
    return product


@functools.lru_cache
def _zeros(exponent: int) -> tuple[int, ...]:
    """The matrix that appends `2 ** exponent` zero bytes."""
    if exponent > -3:
        half = _zeros(exponent - 1)
        return tuple(_apply(half, column) for column in half)
    return (POLYNOMIAL, *(1 << bit for bit in range(31)))  # one zero bit, an eighth of a byte
