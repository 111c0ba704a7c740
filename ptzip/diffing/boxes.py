"""Two tensors of one shape, cut into boxes that are small enough to be read: the same box of both, one after the other.

Rule: a box reaches over no more than a stretch of either storage, and holds no more numbers than that. Elements that both
tensors repeat, by strides of 0, come once; boxes come in the order of the first storage, so that each byte is read once where
both are laid out alike.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ptzip.diffing.payloads import held
from ptzip.errors import FormatError
from ptzip.tensors import to_numpy as arrays
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor

STRETCH = 1 << 22
"""Bytes of a storage that a box reaches over at the most, if an element is not larger."""


class Side(NamedTuple):
    """A dimension of both: its size, and how many elements a step is in the one and in the other storage."""

    size: int
    a: int
    b: int


class Boxes(NamedTuple):
    """Two tensors as they are read; each element of the boxes stands for `repeats`."""

    a: Tensor
    b: Tensor
    sides: tuple[Side, ...]
    repeats: int

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The boxes of the one and of the other, tensors too."""
        most = STRETCH // max(self.a.itemsize, self.b.itemsize, 1)
        pending = [(self.a.offset, self.b.offset, self.sides)]
        while pending:
            at_a, at_b, sides = pending.pop()
            if 0 in (side.size for side in sides):
                continue
            if _extent(sides) <= most:
                shape, a, b = (tuple(numbers) for numbers in zip(*sides, strict=True)) if sides else ((), (), ())
                yield replace(self.a, shape=shape, stride=a, offset=at_a), replace(self.b, shape=shape, stride=b, offset=at_b)
                continue
            place = max(range(len(sides)), key=lambda index: _weight(sides[index]))
            size, step_a, step_b = sides[place]
            half = size // 2
            halves = [(*sides[:place], Side(part, step_a, step_b), *sides[place + 1 :]) for part in (half, size - half)]
            pending += [(at_a + half * step_a, at_b + half * step_b, halves[1]), (at_a, at_b, halves[0])]


def boxes(a: Tensor, b: Tensor) -> Boxes:
    """Two tensors of one shape, to be read in boxes.

    Raises UnsupportedError where one has no form in numpy, FormatError where it does not fit its storage, LimitError where few
    bytes stand for very many numbers.
    """
    stored = max(_check(a), _check(b))
    sides = [Side(*side) for side in zip(a.shape, a.stride, b.stride, strict=True)]
    repeats = math.prod(side.size for side in sides if not side.a and not side.b and side.size)
    kept = _joined(sorted((side for side in sides if side.size != 1 and (side.a or side.b or not side.size)), key=_order))
    check_repeats(math.prod(side.size for side in kept) * max(a.itemsize, b.itemsize), stored)
    return Boxes(held(a), held(b), tuple(kept), repeats)


def _check(tensor: Tensor) -> int:
    """The length of the storage of a tensor that can be read."""
    arrays.check_form(tensor)
    size, (_, last) = arrays.storage_of(tensor).size, arrays.span(tensor)
    if last > size:
        raise FormatError(f"a tensor reaches to byte {last} of a storage of {size} bytes")
    return size


def _order(side: Side) -> tuple[int, int]:
    """The widest step first."""
    return -side.a, -side.b


def _joined(sides: list[Side]) -> list[Side]:
    """Dimensions of which one goes on where the next ends are one, in both storages."""
    found: list[Side] = []
    for side in sides:
        if found and found[-1].a == side.size * side.a and found[-1].b == side.size * side.b:
            side = Side(found.pop().size * side.size, side.a, side.b)
        found.append(side)
    return found


def _extent(sides: tuple[Side, ...]) -> int:
    """How many elements a box reaches over, or holds, whichever is more."""
    reaches = [1 + sum((side.size - 1) * step for side, step in zip(sides, steps, strict=True)) for steps in _steps(sides)]
    return max(*reaches, math.prod(side.size for side in sides))


def _steps(sides: tuple[Side, ...]) -> tuple[list[int], list[int]]:
    return [side.a for side in sides], [side.b for side in sides]


def _weight(side: Side) -> int:
    """How much of the reach a dimension makes."""
    return (side.size - 1) * max(side.a, side.b)
