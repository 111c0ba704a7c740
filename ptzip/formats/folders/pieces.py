"""Tensors whose elements are spread over files: pieces, the check that they cover a tensor, and reading them in its order.

A piece is a box of the tensor. Each element has to be in exactly one piece, since what a gap holds and which of two copies
counts is anybody's guess. numpy is loaded only where elements of several pieces alternate.
"""

import functools
import itertools
import math
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import CheckedPayload, Payload, unchecked
from ptzip.io.sources import CHUNK
from ptzip.tensors.blocks import Box, Read, fill, gathered, rows
from ptzip.tensors.strides import contiguous

BLOCK = 2 * CHUNK
"""The bytes that are put together from several pieces at a time: few enough for every worker to have a block."""


MOST_RANGES = 1 << 20
"""So many ranges of indices of a tensor are looked at in turn: a regular grid has hardly more of them than pieces."""

OPENING = threading.Lock()
"""Held while a file is opened for a piece."""


class Stored(NamedTuple):
    """The elements of a piece in a file: a view of a payload, which begins at element `offset`."""

    payload: Payload
    offset: int
    stride: tuple[int, ...]


class Piece:
    """The box of a tensor from index `offsets`, `sizes` long in each dimension. `find` opens the file that has its elements,
    when they are first read; it raises FormatError where the file has something else. `name` says which file that is.
    """

    def __init__(self, offsets: Sequence[int], sizes: Sequence[int], find: Callable[[], Stored], name: str) -> None:
        self.offsets, self.sizes = tuple(offsets), tuple(sizes)
        self.find = find
        self.name = name
        self.opened: Stored | None = None

    @property
    def stored(self) -> Stored:
        """Its elements. One thread opens it, since a record that is read in parts as two objects has no CRC."""
        if self.opened is None:
            with OPENING:
                self.opened = self.opened or self.find()
        return self.opened

    @property
    def ends(self) -> tuple[int, ...]:
        return tuple(map(sum, zip(self.offsets, self.sizes, strict=True)))

    @property
    def numel(self) -> int:
        return math.prod(self.sizes)

    def is_inside(self, shape: tuple[int, ...]) -> bool:
        bounds = zip(self.offsets, self.ends, shape, strict=True) if len(self.offsets) == len(shape) else [(-1, 0, 0)]
        return all(0 <= first <= end <= size for first, end, size in bounds)

    def is_run(self, shape: tuple[int, ...]) -> bool:
        """Whether its elements follow one another in a tensor of that shape."""
        inner = list(itertools.dropwhile(lambda pair: pair[0] == 1, zip(self.sizes, shape, strict=True)))
        return all(own == whole for own, whole in inner[1:])

    def chunks(self, item: int, start: int, stop: int, buffers: Buffers | None) -> Iterator[bytes | memoryview]:
        """Bytes `start` to `stop` of its elements in row-major order."""
        payload, offset, stride = self.stored
        if stride == contiguous(self.sizes):
            return payload.chunks(offset * item + start, offset * item + stop, buffers)
        return gathered(Box(offset, self.sizes, stride), item, start, stop, *_readers(payload, buffers), buffers)


# Coverage


def check_coverage(name: str, shape: tuple[int, ...], pieces: Sequence[Piece]) -> None:
    """Raise FormatError unless every element of a tensor is in exactly one piece, and no piece reaches beyond it,
    UnsupportedError where their bounds make more than `MOST_RANGES`."""
    for piece in pieces:
        if not piece.is_inside(shape):
            raise FormatError(f"tensor {name} has the shape {list(shape)}, but {piece.name} has {_index(piece)} of it")
    if not math.prod(shape):
        return
    try:
        fault = _uneven(shape, [piece for piece in pieces if piece.numel], 0, iter(range(MOST_RANGES)))
    except StopIteration:
        raise UnsupportedError(
            f"the {len(pieces):,} pieces of tensor {name} make more than {MOST_RANGES:,} ranges of indices, expected a grid"
        ) from None
    if fault is not None:
        ranges, found = fault
        where = f"{'both ' if found else ''}{' and '.join(piece.name for piece in found[:2])}" if found else "no file"
        index = ", ".join(f"{first}:{stop}" for first, stop in ranges)
        raise FormatError(f"elements [{index}] of tensor {name}, whose shape is {list(shape)}, are in {where}, expected in one")


def _index(piece: Piece) -> str:
    return f"[{', '.join(f'{first}:{end}' for first, end in zip(piece.offsets, piece.ends, strict=True))}]"


def _uneven(
    shape: tuple[int, ...], pieces: list[Piece], axis: int, room: Iterator[int]
) -> tuple[tuple[tuple[int, int], ...], list[Piece]] | None:
    """The first range of indices, from dimension `axis` on, that is in no piece or in several, and those; None if there is
    none. Where no piece is left, the range ends with that dimension. Each range takes one of `room`."""
    next(room)
    if axis == len(shape) or not pieces:
        return None if len(pieces) == 1 else ((), pieces)
    for first, stop, inside in _slabs(shape[axis], pieces, axis):
        if (found := _uneven(shape, inside, axis + 1, room)) is not None:
            return ((first, stop), *found[0]), found[1]
    return None


def _slabs(size: int, pieces: list[Piece], axis: int) -> Iterator[tuple[int, int, list[Piece]]]:
    """The indices of a dimension in ranges in which the same pieces are, with those."""
    pending = sorted(pieces, key=lambda piece: piece.offsets[axis])[::-1]
    edges = sorted({0, size, *(piece.offsets[axis] for piece in pieces), *(piece.ends[axis] for piece in pieces)})
    inside = list[Piece]()
    for first, stop in itertools.pairwise(edges):
        inside = [piece for piece in inside if piece.ends[axis] > first]
        while pending and pending[-1].offsets[axis] <= first:
            inside.append(pending.pop())
        yield first, stop, inside


# Reading


class Assembled:
    """A payload: the elements of a tensor of a `shape`, `item` bytes each, in row-major order. The pieces must cover it."""

    seekable = True

    def __init__(self, shape: tuple[int, ...], item: int, pieces: Sequence[Piece]) -> None:
        self.shape = shape
        self.item = item
        self.pieces = sorted((piece for piece in pieces if piece.numel), key=lambda piece: piece.offsets)
        self.length = math.prod(shape) * item
        self._are_runs = all(piece.is_run(shape) for piece in self.pieces)

    @functools.cached_property
    def _starts(self) -> list[int]:
        """Where each piece begins, in bytes; for runs."""
        return [0, *itertools.accumulate(piece.numel * self.item for piece in self.pieces)]

    @property
    def checked(self) -> list[CheckedPayload]:
        """The records that were opened so far."""
        payloads = [piece.opened.payload for piece in self.pieces if piece.opened is not None]
        return [payload for payload in payloads if isinstance(payload, CheckedPayload)]

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to `stop`, both between two elements."""
        return self._runs(start, stop, buffers) if self._are_runs else self._blocks(start, stop, buffers)

    def _runs(self, start: int, stop: int, buffers: Buffers | None) -> Iterator[bytes | memoryview]:
        for number in range(bisect_right(self._starts, start) - 1, len(self.pieces)):
            at, end = self._starts[number : number + 2]
            if at >= stop:
                return
            yield from self.pieces[number].chunks(self.item, max(start - at, 0), min(stop, end) - at, buffers)

    def _blocks(self, start: int, stop: int, buffers: Buffers | None) -> Iterator[memoryview]:
        import numpy as np  # here, since most pieces are runs

        last, step = stop // self.item, max(BLOCK // self.item, 1)
        for at in range(start // self.item, last, step):
            size = (min(at + step, last) - at) * self.item
            held = buffers.get("assembled", size) if buffers else memoryview(bytearray(size))
            block, filled = np.frombuffer(held, f"V{self.item}"), 0
            for box in rows(Box(0, self.shape, contiguous(self.shape)), at, min(at + step, last)):
                self._fill(block[filled : filled + box.numel], box, buffers)
                filled += box.numel
            yield from (held[first : first + CHUNK] for first in range(0, size, CHUNK))

    def _in_rows(self, first: int, stop: int) -> list[Piece]:
        """The pieces that may have some of the indices of the first dimension."""
        begins, longest = self._begins
        return self.pieces[bisect_right(begins, first - longest) : bisect_left(begins, stop)]

    @functools.cached_property
    def _begins(self) -> tuple[list[int], int]:
        """Where each piece begins in the first dimension, and how long the longest is there."""
        return [piece.offsets[0] for piece in self.pieces], max(piece.sizes[0] for piece in self.pieces)

    def _fill(self, out: Any, box: Box, buffers: Buffers | None) -> None:
        """Fill an array with a part of the tensor."""
        sizes = (*(1,) * (len(self.shape) - len(box.shape)), *box.shape)
        begin = tuple(box.offset // step % size for step, size in zip(contiguous(self.shape), self.shape, strict=True))
        target = out.reshape(sizes)
        for piece in self._in_rows(begin[0], begin[0] + sizes[0]):
            low = tuple(map(max, begin, piece.offsets))
            high = tuple(min(first + size, end) for first, size, end in zip(begin, sizes, piece.ends, strict=True))
            if all(first < end for first, end in zip(low, high, strict=True)):
                payload, offset, stride = piece.stored
                offset += sum(map(math.prod, zip(map(int.__sub__, low, piece.offsets), stride, strict=True)))
                index = tuple(slice(first - at, end - at) for first, end, at in zip(low, high, begin, strict=True))
                part = Box(offset, tuple(map(int.__sub__, high, low)), stride)
                fill(target[index], part, *_readers(payload, buffers))


def _readers(payload: Payload, buffers: Buffers | None) -> tuple[Read, Read | None]:
    """How `tensors.blocks` reads a payload: in order and, where it may, short stretches in any order, without their CRC.

    With `buffers`, the next stretch overwrites the one before.
    """
    base, inner = unchecked(payload), buffers.other("piece") if buffers else None
    return functools.partial(_bytes_of, payload, inner), functools.partial(_bytes_of, base, inner) if base.seekable else None


def _bytes_of(payload: Payload, buffers: Buffers | None, start: int, stop: int) -> Any:
    import numpy as np  # as above

    if buffers is None:
        return np.frombuffer(b"".join(payload.chunks(start, stop)), np.uint8)
    held, at = buffers.get("stretch", stop - start), 0
    for chunk in payload.chunks(start, stop, buffers):
        if len(chunk) == stop - start:
            held = memoryview(chunk)  # no copy, since nothing else is read into that memory before it is used
        else:
            held[at : at + len(chunk)] = chunk
        at += len(chunk)
    return np.frombuffer(held, np.uint8)
