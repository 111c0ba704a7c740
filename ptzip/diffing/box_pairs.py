"""Two tensors of one shape as pairs of boxes that fit in memory, and the bytes behind them.

No checksum is computed on the way, since all bytes are compared; `ptzip verify` checks a file's integrity.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import Payload, unchecked
from ptzip.tensors.blocks import Box, cut, storage_order
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import check_form, span, storage_of

STRETCH = 1 << 18
"""Bytes of a storage that a box spans at most, unless a single element is larger: few enough to stay in the second-level cache,
and for the allocator to give the same memory again."""


class BoxPairs(NamedTuple):
    """Two tensors with the same dimensions in the order of A's storage; each element of a box counts `repeats` times.

    A box spans at most `STRETCH` bytes of either storage and holds no more bytes than that. Elements that both tensors repeat,
    by strides of 0, are in one box once. Each byte is read once where both tensors are laid out alike.
    """

    a: Tensor
    b: Tensor
    repeats: int

    def boxes(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The boxes of A and of B, as tensors."""
        if 0 in self.a.shape:
            return
        most = STRETCH // max(self.a.itemsize, self.b.itemsize, 1)

        def fits(*boxes: Box) -> bool:
            return boxes[0].numel <= most and all(stop - first <= most for first, stop in (box.span for box in boxes))

        for _, (a, b) in cut((_box(self.a), _box(self.b)), fits):
            yield replace(self.a, **a._asdict()), replace(self.b, **b._asdict())


def box_pairs(a: Tensor, b: Tensor) -> BoxPairs:
    """Two tensors of one shape, to be read box by box.

    Raises UnsupportedError where numpy cannot represent one, FormatError where it exceeds its storage, LimitError where strides
    of 0 repeat few bytes into very many numbers.
    """
    stored = max(_storage_size(a), _storage_size(b))
    repeats = math.prod(size for size, *steps in zip(a.shape, a.stride, b.stride, strict=True) if size and not any(steps))
    one, other = (_box(a), _box(b)) if 0 in a.shape else storage_order(_box(a), _box(b))
    check_repeats(one.numel * max(a.itemsize, b.itemsize), stored)
    return BoxPairs(replace(_opened(a), **one._asdict()), replace(_opened(b), **other._asdict()), repeats)


def _box(tensor: Tensor) -> Box:
    return Box(tensor.offset, tensor.shape, tensor.stride)


def _storage_size(tensor: Tensor) -> int:
    """The bytes of the storage of a tensor that can be read."""
    check_form(tensor)
    size, (_, stop) = storage_of(tensor).size, span(tensor)
    if stop > size:
        raise FormatError(f"a tensor ends at byte {stop} of a storage of {size} bytes")
    return size


def _opened(tensor: Tensor) -> Tensor:
    """The tensor on a storage whose payload is looked up once. Raises as `Storage.checked_payload` does."""
    payload = readable(storage_of(tensor))
    return replace(tensor, storage=replace(storage_of(tensor), payload=lambda: payload, base=None, start=0))


def readable(storage: Storage) -> Payload:
    """The payload of a storage without its checksum, cheap to read in order even where it is not seekable."""
    payload = unchecked(storage.checked_payload())
    return payload if payload.seekable else Resumed(payload)


class Resumed:
    """A payload that continues where the last part ended if the next part does not begin before."""

    seekable = True

    def __init__(self, base: Payload) -> None:
        self.base = base
        self.length = base.length
        self._restart()

    def _restart(self) -> None:
        self._at, self._rest, self._chunks = 0, memoryview(b""), self.base.chunks(0, self.length)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        if start < self._at:
            self._restart()
        while self._at < stop:
            if not self._rest:
                self._rest = memoryview(next(self._chunks))
            skipped = max(start - self._at, 0)
            part = self._rest[skipped : stop - self._at]
            taken = min(len(self._rest), skipped + len(part))
            self._at, self._rest = self._at + taken, self._rest[taken:]
            if part:
                yield part
