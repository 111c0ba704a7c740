"""The elements of a strided tensor without the gaps between them.

Rule: they come in the order in which they lie in the storage; no more than a few chunks of it are in memory at once.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.io.payloads import Payload, SlicePayload, read_all
from ptzip.io.sources import CHUNK
from ptzip.tensors.strides import element_range

BLOCK = CHUNK
"""Bytes of the storage that are looked at together."""


class Gathered(NamedTuple):
    """A payload of the distinct elements of a tensor whose first element is the first of `base`."""

    base: Payload
    item: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def seekable(self) -> bool:
        """Each piece is made of a stretch that is larger, so parts are better asked for in order."""
        return False

    @property
    def length(self) -> int:
        return math.prod(size for size, _ in self._dimensions()) * self.item

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to `stop`."""
        at = 0
        for offset, shape, stride in _blocks(self._dimensions(), BLOCK // self.item):
            size = math.prod(shape) * self.item
            if start < at + size and at < stop:
                data = self._block(offset, shape, stride)
                yield from _pieces(data[max(start - at, 0) : stop - at])
            at += size

    def _dimensions(self) -> list[tuple[int, int]]:
        """Sizes and strides of the dimensions with different elements, the widest first."""
        found = [(size, step) for size, step in zip(self.shape, self.stride, strict=True) if step and size != 1]
        return sorted(found, key=lambda dimension: -dimension[1])

    def _block(self, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
        from ptzip.tensors.to_numpy import packed  # here, so that whoever only plans does not wait for numpy

        _, end = element_range(0, shape, stride)
        data = read_all(SlicePayload(self.base, offset * self.item, end * self.item))
        return packed(data, self.item, shape, stride)


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


Block = tuple[int, tuple[int, ...], tuple[int, ...]]


def _blocks(dimensions: list[tuple[int, int]], most: int) -> Iterator[Block]:
    """Stretches of about `most` elements at the most, in order: where each begins, and how its elements lie."""
    pending = [(0, dimensions)]
    while pending:
        offset, left = pending.pop()
        shape, stride = tuple(size for size, _ in left), tuple(step for _, step in left)
        _, end = element_range(0, shape, stride)
        if end <= most or not left:
            yield offset, shape, stride
            continue
        (size, step), *inner = left
        rows = max(1, most // step) if size > 1 else 1
        cuts = [(first, min(rows, size - first)) for first in range(0, size, rows)]
        for first, count in reversed(cuts):
            pending.append((offset + first * step, inner if count == 1 else [(count, step), *inner]))
