"""The values of a strided tensor one after the other, the last dimension first, little-endian: a payload.

Rule: what lies so already passes as it is; anything else is gathered in blocks, so that memory does not grow with the tensor.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptzip.io.payloads import unchecked
from ptzip.io.sources import CHUNK
from ptzip.tensors.dtypes import PACKED
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import is_contiguous, native, resolved, row, span, storage_of, swapped_unit

BLOCK = 16 * CHUNK
"""Bytes that are gathered together: the more, the fewer reads a large transposed tensor takes."""

DENSE = 2
MOST_READ, LEAST_READ = 4 * CHUNK, CHUNK // 4
"""A stretch is read whole if it is at most `DENSE` times as long as what is used of it; of at most so many bytes, and of fewer
than the other number without asking."""

APART = 1 << 14
"""From so many bytes between the beginnings of two runs on, a read for each takes less time than to read what is between."""


class InOrder(NamedTuple):
    """The payload. Raises as `Tensor.tobytes` does, when it is read."""

    tensor: Tensor

    @property
    def length(self) -> int:
        return self.tensor.nbytes

    @property
    def seekable(self) -> bool:
        """Each block is made of a stretch that may be longer, so parts are better asked for in order."""
        return _lies_so(self.tensor) and storage_of(self.tensor).checked_payload().seekable

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to `stop`, both between two elements."""
        if start >= stop:
            return
        if _lies_so(self.tensor):
            first, _ = span(self.tensor)
            yield from storage_of(self.tensor).chunks(first + start, first + stop)
            return
        step = _whole_rows(self.tensor)
        for at in range(start, stop, step):
            block = self._block(at, min(at + step, stop))
            yield from (block[place : place + CHUNK] for place in range(0, len(block), CHUNK))
            del block  # before the next one is made

    def _block(self, start: int, stop: int) -> memoryview:
        item = row(self.tensor).size
        first, last, at = start // item, stop // item, 0
        out = np.empty(last - first, f"V{item}")
        for box in _cut(Box(self.tensor.offset, self.tensor.shape, self.tensor.stride), first, last):
            end = at + math.prod(box.shape)
            _gather(out[at:end].reshape(box.shape), self.tensor, box)
            at = end
        data = out.view(np.uint8).data
        is_marked = self.tensor.is_conj or self.tensor.is_neg
        return memoryview(resolved(self.tensor, bytes(data))) if is_marked else data


class Box(NamedTuple):
    """Elements of a tensor that are a strided tensor themselves."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _whole_rows(tensor: Tensor) -> int:
    """The bytes of a block, which ends where a row does: parts of a row lie scattered, element by element."""
    whole = row(tensor).size
    for size in reversed(tensor.shape):
        if whole * size > BLOCK:
            break
        whole *= size
    return max(BLOCK // whole, 1) * whole


def _lies_so(tensor: Tensor) -> bool:
    if tensor.dtype in PACKED:
        return True  # `span` refuses any other
    is_swapped = storage_of(tensor).big_endian and swapped_unit(storage_of(tensor)) > 1
    return is_contiguous(tensor) and not (is_swapped or tensor.is_conj or tensor.is_neg)


def _cut(box: Box, first: int, last: int) -> Iterator[Box]:
    """The elements from number `first` to before `last`, in order: a row in part, whole rows, a row in part."""
    if not box.shape:
        yield box
        return
    inner = Box(box.offset, box.shape[1:], box.stride[1:])
    size = math.prod(inner.shape)
    at, into = divmod(first, size)
    if into or last < (at + 1) * size:
        end = min(last, (at + 1) * size)
        yield from _cut(inner._replace(offset=box.offset + at * box.stride[0]), into, end - at * size)
        first, at = end, at + 1
    whole = last // size
    if at < whole:
        yield Box(box.offset + at * box.stride[0], (whole - at, *inner.shape), box.stride)
        first = whole * size
    if first < last:
        yield from _cut(inner._replace(offset=box.offset + whole * box.stride[0]), 0, last - first)


def _gather(out: npt.NDArray[Any], tensor: Tensor, box: Box) -> None:
    """Fill an array with a box: from one stretch of the storage, unless that is mostly other things."""
    held, item = storage_of(tensor), out.itemsize
    if _is_dense(box, item) or not held.checked_payload().seekable:
        _read(out, held, box)
    else:
        without_crc = unchecked(held.checked_payload())  # a CRC for every one of many small reads would fill the memory
        _fill(out, replace(held, payload=lambda: without_crc, base=None), box)


def _is_dense(box: Box, item: int) -> bool:
    first, stop = element_range(box.offset, box.shape, box.stride)
    return (stop - first) * item <= max(LEAST_READ, min(MOST_READ, DENSE * math.prod(box.shape) * item))


def _fill(out: npt.NDArray[Any], storage: Storage, box: Box) -> None:
    """Fill an array one half after the other, until what is used lies close together, or each run of it by itself."""
    if _is_scattered(box, out.itemsize):
        _read_runs(out, storage, box)
        return
    if _is_dense(box, out.itemsize):
        _read(out, storage, box)
        return
    axis = max(range(len(box.shape)), key=lambda place: (box.shape[place] - 1) * box.stride[place])
    half = box.shape[axis] // 2
    for begin, end in ((0, half), (half, box.shape[axis])):
        shape = (*box.shape[:axis], end - begin, *box.shape[axis + 1 :])
        part = out[(*[slice(None)] * axis, slice(begin, end))]
        _fill(part, storage, Box(box.offset + begin * box.stride[axis], shape, box.stride))


def _read(out: npt.NDArray[Any], storage: Storage, box: Box) -> None:
    (first, stop), item = element_range(box.offset, box.shape, box.stride), out.itemsize
    data = native(storage, first * item, stop * item)
    out[...] = np.ndarray(box.shape, out.dtype, data.data, 0, [step * item for step in box.stride])


def _is_scattered(box: Box, item: int) -> bool:
    """Whether a box is of runs, elements side by side, that lie far apart."""
    if 1 not in box.stride:
        return False
    first, stop = element_range(box.offset, box.shape, box.stride)
    return (stop - first) * item * box.shape[box.stride.index(1)] >= APART * math.prod(box.shape)


def _read_runs(out: npt.NDArray[Any], storage: Storage, box: Box) -> None:
    """Fill an array with a box of runs, each read by itself."""
    axis, item = box.stride.index(1), out.itemsize
    runs, length = np.moveaxis(out, axis, -1), box.shape[axis]
    steps = [step for place, step in enumerate(box.stride) if place != axis]
    for index in np.ndindex(runs.shape[:-1]):
        first = box.offset + sum(map(operator.mul, index, steps))
        runs[index] = native(storage, first * item, (first + length) * item).view(out.dtype)
