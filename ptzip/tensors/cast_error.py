"""The error of a cast: two tensors compared number by number, and whether one is the exact rounding of the other."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.rounding import INFINITY, MAGNITUDE, floats, narrow
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor

PIECE = 1 << 18
"""Numbers that are compared at once."""

SMALLEST_NORMAL = {"float16": 2.0**-14, "bfloat16": 2.0**-126}
"""Smaller numbers are subnormal: they have fewer digits."""


class CastError(NamedTuple):
    """How far a tensor is from the one that it was cast from.

    `absolute` and `relative` are the largest errors of numbers that are finite in both; the relative one skips numbers below
    the normal range, of which `subnormal` counts those of the result. `overflowed` finite numbers are beyond the range, and
    `vanished` ones other than 0 became 0. `is_rounded`: each number is what `rounding.narrow` makes
    of it. `is_equal`: all numbers are equal.
    """

    numel: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    subnormal: int = 0
    overflowed: int = 0
    vanished: int = 0
    is_equal: bool = True
    is_rounded: bool = True

    def joined(self, other: "CastError") -> "CastError":
        return CastError(
            self.numel + other.numel,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            self.subnormal + other.subnormal,
            self.overflowed + other.overflowed,
            self.vanished + other.vanished,
            self.is_equal and other.is_equal,
            self.is_rounded and other.is_rounded,
        )


def cast_error(old: Tensor, new: Tensor, saturate: bool = False) -> CastError:
    """The error of `new` against `old`, a tensor of the same shape. Raises as `Tensor.tobytes` does.

    Both are read once, in order, `PIECE` numbers at a time.
    """
    check_repeats(max(old.nbytes, new.nbytes), min(_stored(old), _stored(new)))
    found = CastError()
    for one, other in zip(_pieces(old), _pieces(new), strict=True):
        if old.dtype == new.dtype:
            found = found.joined(_of_bytes(one == other, len(other) // max(new.itemsize, 1)))
        else:
            found = found.joined(_of_piece(one, old.dtype, other, new.dtype, saturate))
    return found


def _stored(tensor: Tensor) -> int:
    return tensor.storage.size if tensor.storage is not None else 0


def _pieces(tensor: Tensor) -> Iterator[bytes]:
    """The values of a tensor in row-major order, `PIECE` numbers at a time."""
    from ptzip.tensors.to_numpy import span  # here, since the report of `slim` needs the class alone

    span(tensor)  # raises for what cannot be read
    size, rest = PIECE * tensor.itemsize, bytearray()
    for chunk in RowMajor(tensor).chunks(0, tensor.nbytes):
        rest += chunk
        whole = len(rest) // size * size
        yield from (bytes(rest[at : at + size]) for at in range(0, whole, size))
        del rest[:whole]
    if rest:
        yield bytes(rest)


def _of_bytes(is_equal: bool, numel: int) -> CastError:
    return CastError(numel, is_equal=is_equal, is_rounded=is_equal)


def _of_piece(old: bytes, old_dtype: str, new: bytes, dtype: str, saturate: bool) -> CastError:
    import numpy as np  # as above

    numbers, bits = floats(old, old_dtype), np.frombuffer(new, np.uint16)
    expected, loss = narrow(numbers, dtype, saturate)
    both_nan = ((expected & MAGNITUDE) > INFINITY[dtype]) & ((bits & MAGNITUDE) > INFINITY[dtype])
    before, after = numbers.astype(np.float64), floats(new, dtype).astype(np.float64)
    finite = np.isfinite(before) & np.isfinite(after)
    with np.errstate(all="ignore"):
        absolute = np.abs(before - after)[finite]
        relative = absolute / np.abs(before[finite])
    is_normal = np.abs(before[finite]) >= SMALLEST_NORMAL[dtype]
    magnitude = np.abs(after)
    return CastError(
        numel=bits.size,
        absolute=float(absolute.max(initial=0.0)),
        relative=float(relative[is_normal].max(initial=0.0)),
        subnormal=int(np.count_nonzero((magnitude > 0) & (magnitude < SMALLEST_NORMAL[dtype]))),
        overflowed=loss.overflowed,
        vanished=loss.vanished,
        is_equal=bool((before == after).all()),
        is_rounded=bool(((expected == bits) | both_nan).all()),
    )
