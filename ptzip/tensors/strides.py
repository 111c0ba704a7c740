"""Where the elements of a strided tensor are in its storage; all numbers count elements."""

import math
from collections.abc import Sequence

from ptzip.errors import LimitError


def is_countable(*numbers: int) -> bool:
    """Whether numbers and their product fit in the int64 that torch and numpy count with; a 0 makes no product smaller."""
    product = 1
    for number in numbers:
        product *= abs(number) or 1
        if product >= 1 << 63:
            return False
    return True


def element_range(offset: int, shape: Sequence[int], stride: Sequence[int]) -> tuple[int, int]:
    """From the first element to behind the last that a tensor uses; (0, 0) where it has none."""
    if 0 in shape:
        return 0, 0
    return offset, offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of elements that follow one another, the last dimension first."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


FREE_REPEATS = 1 << 26
MOST_REPEATS = 64
"""A copy of up to `FREE_REPEATS` bytes is always allowed, a larger one only up to `MOST_REPEATS` times the stored bytes."""


def check_repeats(copied: int, stored: int) -> None:
    """Raise LimitError where strides of 0 repeat a few stored bytes so often that a copy would fill the memory."""
    if copied > max(FREE_REPEATS, MOST_REPEATS * stored):
        raise LimitError(f"a tensor repeats {stored} bytes into {copied}, more than is copied")


def check_copies(copied: int, stored: int) -> None:
    """Raise LimitError where tensors share a few stored bytes so often that a copy for each would fill a disk."""
    if copied > max(FREE_REPEATS, MOST_REPEATS * stored):
        raise LimitError(
            f"tensors share {stored:,} bytes so often that each with its own would take {copied:,}, more than is copied"
        )
