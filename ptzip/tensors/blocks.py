"""Strided tensors in blocks: how they are cut into boxes that fit in memory, and how boxes are read.

A box is a part of a tensor that is a strided tensor itself. Three users cut tensors into boxes: `RowMajor` (the values of a
tensor in order), `UsedElements` (the elements of a storage that a tensor uses) and `diff` (pairs of boxes of two tensors).
numpy is loaded only where bytes are read.
"""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ptzip.io.buffers import Buffers
from ptzip.io.payloads import Payload, SlicePayload, read_all, unchecked
from ptzip.io.sources import CHUNK
from ptzip.tensors.dtypes import PACKED
from ptzip.tensors.strides import element_range

if TYPE_CHECKING:
    import numpy.typing as npt

    from ptzip.tensors.to_numpy import Described

BLOCK = 16 * CHUNK
"""Bytes that are gathered together where their order is not that of the storage: the larger, the fewer reads a large transposed
tensor takes."""

DENSE = 2
MOST_READ, LEAST_READ = 4 * CHUNK, CHUNK // 4
"""A box is read as one stretch of the storage if the stretch is at most `DENSE` times as long as the box and at most
`MOST_READ` bytes, or if it is at most `LEAST_READ` bytes."""

FAR_APART = 1 << 14
"""Runs whose beginnings are at least so many bytes apart are read one by one: that is faster than reading what is between."""


class Box(NamedTuple):
    """Elements of a storage in a grid; `offset` and `stride` count elements, strides are not negative."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def span(self) -> tuple[int, int]:
        """From the first element to behind the last one."""
        return element_range(self.offset, self.shape, self.stride)

    def part(self, axis: int, begin: int, end: int) -> "Box":
        """The indices from `begin` to before `end` of one dimension."""
        shape = (*self.shape[:axis], end - begin, *self.shape[axis + 1 :])
        return Box(self.offset + begin * self.stride[axis], shape, self.stride)

    def row(self, index: int) -> "Box":
        """What is at one index of the first dimension."""
        return Box(self.offset + index * self.stride[0], self.shape[1:], self.stride[1:])


# Cutting


def storage_order(*boxes: Box) -> tuple[Box, ...]:
    """Boxes of one shape with their dimensions in the order of the first box's storage, as few of them as possible.

    Dimensions along which no box moves are dropped, and neighbours of which one continues the other in every box are joined.
    """
    axes = zip(boxes[0].shape, *(box.stride for box in boxes), strict=True)
    joined: list[list[int]] = []
    for size, *steps in sorted(
        (axis for axis in axes if axis[0] != 1 and any(axis[1:])), key=lambda axis: axis[1:], reverse=True
    ):
        if joined and joined[-1][1:] == [size * step for step in steps]:
            size *= joined.pop()[0]
        joined.append([size, *steps])
    shape = tuple(size for size, *_ in joined)
    return tuple(Box(box.offset, shape, tuple(axis[column] for axis in joined)) for column, box in enumerate(boxes, start=1))


def cut(boxes: tuple[Box, ...], fits: Callable[..., bool]) -> Iterator[tuple[tuple[slice, ...], tuple[Box, ...]]]:
    """Boxes of one shape, halved together along the dimension that spans most of a storage until `fits(*boxes)`.

    Yields them in order, each time with their indices in the whole.
    """
    pending = [(tuple(slice(0, size) for size in boxes[0].shape), boxes)]
    while pending:
        index, boxes = pending.pop()
        if fits(*boxes):
            yield index, boxes
            continue
        lengths = [(size - 1) * max(steps) for size, *steps in zip(boxes[0].shape, *(box.stride for box in boxes), strict=True)]
        axis = lengths.index(max(lengths))
        start, size = index[axis].start, boxes[0].shape[axis]
        for begin, end in ((size // 2, size), (0, size // 2)):
            inner = (*index[:axis], slice(start + begin, start + end), *index[axis + 1 :])
            pending.append((inner, tuple(box.part(axis, begin, end) for box in boxes)))


def rows(box: Box, first: int, last: int) -> Iterator[Box]:
    """Elements number `first` to before `last` of a box in row-major order, as boxes: a part of a row, whole rows, a part."""
    if not box.shape:
        yield box
        return
    size = math.prod(box.shape[1:])
    row, begin = divmod(first, size)
    if begin or last < (row + 1) * size:
        end = min(last, (row + 1) * size)
        yield from rows(box.row(row), begin, end - row * size)
        first, row = end, row + 1
    after = last // size
    if row < after:
        yield box.part(0, row, after)
        first = after * size
    if first < last:
        yield from rows(box.row(after), 0, last - first)


def block_size(box: Box, item: int) -> int:
    """How many elements of `item` bytes are gathered together: whole rows, since parts of a row may be scattered.

    Elements in the order of the storage span at most `CHUNK` bytes of it; elements in another order take at most `BLOCK` bytes.
    """
    is_ordered = all(outer >= inner for outer, inner in zip(box.stride, box.stride[1:], strict=False))
    most, count = (CHUNK if is_ordered else BLOCK) // item, 1
    for size, step in zip(reversed(box.shape), reversed(box.stride), strict=True):
        length = max(step, count) if is_ordered else count
        if size * length > most:
            return count * max(most // length, 1)
        count *= size
    return count


# Reading

Read = Callable[[int, int], Any]
"""The bytes of a storage from `start` to `stop`, as a numpy array of uint8."""


def gathered(
    box: Box, item: int, start: int, stop: int, read: Read, read_part: Read | None = None, buffers: Buffers | None = None
) -> Iterator[memoryview]:
    """The elements of a box in row-major order, block by block: bytes `start` to `stop` of them, both between two elements.

    `read_part` reads short stretches in any order; without it, each box is read as one stretch. With `buffers`, the next block
    may overwrite the one before.
    """
    import numpy as np  # here, so that planning does not load numpy

    at, last, step = start // item, stop // item, block_size(box, item)
    while at < last:
        end = min((at // step + 1) * step, last)
        held = buffers.get("gathered", (end - at) * item) if buffers else bytearray((end - at) * item)
        block, filled = np.frombuffer(held, f"V{item}"), 0
        for part in rows(box, at, end):
            out = block[filled : filled + part.numel].reshape(part.shape)
            fill(out, part, read, read_part)
            filled += part.numel
        yield block.view(np.uint8).data
        del block, out, held  # before the next block takes memory
        at = end


def fill(out: "npt.NDArray[Any]", box: Box, read: Read, read_part: Read | None) -> None:
    """Fill an array with a box, in as few reads as pay off."""
    item = out.itemsize
    if read_part is None or _is_dense(box, item):
        _read_stretch(out, box, read)
        return
    for index, (part,) in cut((box,), lambda part: _is_scattered(part, item) or _is_dense(part, item)):
        (_read_runs if _is_scattered(part, item) else _read_stretch)(out[index], part, read_part)


def _is_dense(box: Box, item: int) -> bool:
    first, stop = box.span
    return (stop - first) * item <= max(LEAST_READ, min(MOST_READ, DENSE * box.numel * item))


def _is_scattered(box: Box, item: int) -> bool:
    """Whether a box consists of runs (elements side by side) that are far apart."""
    if 1 not in box.stride:
        return False
    first, stop = box.span
    return (stop - first) * item * box.shape[box.stride.index(1)] >= FAR_APART * box.numel


def _read_stretch(out: "npt.NDArray[Any]", box: Box, read: Read) -> None:
    """Fill an array with a box out of one stretch of the storage."""
    import numpy as np  # as above

    (first, stop), item = box.span, out.itemsize
    data = read(first * item, stop * item)
    out[...] = np.ndarray(box.shape, out.dtype, data.data, 0, [step * item for step in box.stride])


def _read_runs(out: "npt.NDArray[Any]", box: Box, read: Read) -> None:
    """Fill an array with a box of runs, each read by itself."""
    import numpy as np  # as above

    axis, item = box.stride.index(1), out.itemsize
    runs, length = np.moveaxis(out, axis, -1), box.shape[axis]
    steps = [step for dimension, step in enumerate(box.stride) if dimension != axis]
    for index in np.ndindex(runs.shape[:-1]):
        first = box.offset + sum(map(operator.mul, index, steps))
        runs[index] = read(first * item, (first + length) * item).view(out.dtype)


# Payloads


class RowMajor(NamedTuple):
    """A payload of the values of a strided tensor in row-major order, little-endian. Raises as `Tensor.tobytes` does."""

    tensor: "Described"

    @property
    def length(self) -> int:
        return self.tensor.nbytes

    @property
    def seekable(self) -> bool:
        """Whether the bytes are those of the file; otherwise parts are best read in order, since blocks may need more bytes."""
        from ptzip.tensors.to_numpy import storage_of  # here, so that planning does not load numpy

        return self._is_as_stored() and storage_of(self.tensor).checked_payload().seekable

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to `stop`, both between two elements."""
        from ptzip.tensors.to_numpy import dtype_of, native, resolved, span, storage_of  # as above

        tensor, storage = self.tensor, storage_of(self.tensor)
        if start >= stop:
            return
        if self._is_as_stored():
            first, _ = span(tensor)
            yield from storage.chunks(first + start, first + stop, buffers)
            return
        read, read_part = partial(native, storage), None
        payload = unchecked(storage.checked_payload())
        if payload.seekable:  # without CRCs, which would fill the memory after many small reads
            read_part = partial(native, replace(storage, payload=lambda: payload, base=None))
        box = Box(tensor.offset, tensor.shape, tensor.stride)
        for block in gathered(box, dtype_of(tensor).size, start, stop, read, read_part, buffers):
            data = memoryview(resolved(tensor, bytes(block))) if tensor.is_conj or tensor.is_neg else block
            yield from (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))
            del block, data  # before the next block takes memory

    def _is_as_stored(self) -> bool:
        """Whether the values are in the storage as they are to be read."""
        from ptzip.tensors.to_numpy import is_contiguous, storage_of, swapped_unit  # as above

        if self.tensor.dtype in PACKED:
            return True  # `span` refuses any other
        storage = storage_of(self.tensor)
        is_changed = self.tensor.is_conj or self.tensor.is_neg or (storage.big_endian and swapped_unit(storage) > 1)
        return is_contiguous(self.tensor) and not is_changed


class UsedElements(NamedTuple):
    """A payload of the distinct elements of a tensor, in the order of the storage; the tensor begins where `base` does.

    No element may be at two indices but for strides of 0.
    """

    base: Payload
    item: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def seekable(self) -> bool:
        """Blocks span more bytes than are used, so parts are best read in order."""
        return False

    @property
    def length(self) -> int:
        return storage_order(Box(0, self.shape, self.stride))[0].numel * self.item

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        """The bytes from `start` to `stop`, both between two elements."""
        import numpy as np  # as above

        def read(first: int, last: int) -> Any:
            return np.frombuffer(read_all(SlicePayload(self.base, first, last - first)), np.uint8)

        (box,) = storage_order(Box(0, self.shape, self.stride))
        return gathered(box, self.item, start, stop, read, buffers=buffers)
