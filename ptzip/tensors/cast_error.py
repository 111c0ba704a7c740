"""The error of a cast: two tensors compared number by number, and whether one is the exact rounding of the other."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ptzip.io.buffers import Buffers
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.rounding import INFINITY, MAGNITUDE, array, floats, narrow, widened
from ptzip.tensors.strides import check_repeats

if TYPE_CHECKING:
    from ptzip.tensors.rounding import Bits, Floats, Loss
    from ptzip.tensors.tensor import Tensor

PIECE = 1 << 15
"""Numbers (or bytes that hold several) that are compared at once: few enough that all that is computed of them stays in the
second-level cache."""

PART = 1 << 21
"""Numbers that one thread compares at a time, where parts of a tensor can be read by themselves."""

SMALLEST_NORMAL = {"float16": 2.0**-14, "bfloat16": 2.0**-126}
"""Smaller numbers are subnormal: they have fewer digits."""

NORMAL_BITS = {"float16": 0x0400, "bfloat16": 0x0080}
"""The bits of these."""


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


class CastPair(NamedTuple):
    """A tensor, the one of the same shape that it was cast to, and whether numbers beyond the range were saturated."""

    old: "Tensor"
    new: "Tensor"
    saturate: bool = False

    def parts(self) -> Iterator[tuple[int, int]]:
        """The numbers that one thread compares at a time, in row-major order. Raises as `Tensor.tobytes` does."""
        from ptzip.tensors.to_numpy import span  # here, since the report of `slim` needs the class alone

        for tensor in (self.old, self.new):
            span(tensor)  # raises for what cannot be read
        check_repeats(max(self.old.nbytes, self.new.nbytes), min(_stored(self.old), _stored(self.new)))
        numel = self.new.nbytes // self.new.itemsize
        step = PART if RowMajor(self.old).seekable and RowMajor(self.new).seekable else max(numel, 1)
        yield from ((first, min(first + step, numel)) for first in range(0, numel, step))

    def error(self, first: int, stop: int, buffers: Buffers) -> CastError:
        """The error of the numbers from `first` to before `stop`."""
        found, (old, new, _) = CastError(), self
        streams = _pieces(old, first, stop, buffers.other("old")), _pieces(new, first, stop, buffers.other("new"))
        for one, other in zip(*streams, strict=True):
            if old.dtype == new.dtype:
                found = found.joined(_of_bytes(_are_equal(one, other), len(other) // max(new.itemsize, 1)))
            else:
                found = found.joined(_of_piece(self, one, other, buffers))
        return found


def _stored(tensor: "Tensor") -> int:
    return tensor.storage.size if tensor.storage is not None else 0


def _pieces(tensor: "Tensor", first: int, stop: int, buffers: Buffers) -> Iterator[memoryview]:
    """Some values of a tensor in row-major order, `PIECE` numbers at a time, each gone with the next."""
    item = tensor.itemsize
    size, filled, piece = PIECE * item, 0, buffers.get("piece", PIECE * item)
    for chunk in RowMajor(tensor).chunks(first * item, stop * item, buffers):
        left = memoryview(chunk)
        while left:
            taken = min(len(left), size - filled)
            whole, left = left[:taken], left[taken:]
            if taken == size:  # as in most chunks: nothing is copied
                yield whole
                continue
            piece[filled : filled + taken] = whole
            filled += taken
            if filled == size:
                yield piece
                filled = 0
    if filled:
        yield piece[:filled]


def _are_equal(one: memoryview, other: memoryview) -> bool:
    import numpy as np  # as above

    return np.array_equal(np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8))


def _of_bytes(is_equal: bool, numel: int) -> CastError:
    return CastError(numel, is_equal=is_equal, is_rounded=is_equal)


def _of_piece(pair: CastPair, old: memoryview, new: memoryview, buffers: Buffers) -> CastError:
    import numpy as np  # as above

    dtype = pair.new.dtype
    numbers, bits = floats(old, pair.old.dtype, buffers=buffers), np.frombuffer(new, np.uint16)
    expected, loss = narrow(numbers, dtype, pair.saturate, buffers)
    is_finite = not (loss.overflowed or loss.nan or loss.infinite)
    if is_finite and numbers.dtype == np.float32 and np.array_equal(expected, bits):
        return _of_rounded(numbers, bits, loss, dtype, buffers)
    return _of_any(numbers, bits, expected, loss, dtype)


def _of_rounded(numbers: "Floats", bits: "Bits", loss: "Loss", dtype: str, buffers: Buffers) -> CastError:
    """The error of finite float32 numbers against their rounding: it fits a float32, whose last bits are those it lost."""
    import numpy as np  # as above

    size, error = (array(buffers, use, bits.size, np.float32) for use in ("size", "error"))
    mask, magnitudes = array(buffers, "mask", bits.size, np.bool_), array(buffers, "magnitudes", bits.size, np.uint16)
    after = widened(bits, dtype, buffers.other("after"))  # bfloat16 numbers were widened, too
    np.subtract(numbers, after, out=error)
    np.abs(error, out=error)
    absolute = float(error.max(initial=0.0))
    np.abs(numbers, out=size)
    np.greater_equal(size, np.float32(SMALLEST_NORMAL[dtype]), out=mask)
    np.multiply(error, mask, out=error)
    np.maximum(size, np.float32(SMALLEST_NORMAL[dtype]), out=size)
    np.divide(error, size, out=error)
    np.bitwise_and(bits, np.uint16(MAGNITUDE), out=magnitudes)
    np.subtract(magnitudes, np.uint16(1), out=magnitudes)  # of 0 it makes the largest number
    subnormal = int(np.less(magnitudes, NORMAL_BITS[dtype] - 1, out=mask).sum())
    return CastError(
        numel=bits.size,
        absolute=absolute,
        relative=_exact_relative(numbers, after, error),
        subnormal=subnormal,
        vanished=loss.vanished,
        is_equal=not absolute,
    )


def _exact_relative(numbers: "Floats", after: "Floats", relative: "Floats") -> float:
    """The largest relative error in float64, of which `relative` has the roundings: it is where the largest of these is."""
    import numpy as np  # as above

    largest = relative.max(initial=0.0)
    if not largest:
        return 0.0
    at = np.flatnonzero(relative == largest)
    before = numbers[at].astype(np.float64)
    return float((np.abs(before - after[at]) / np.abs(before)).max())


def _of_any(numbers: "Floats", bits: "Bits", expected: "Bits", loss: "Loss", dtype: str) -> CastError:
    import numpy as np  # as above

    both_nan = ((expected & MAGNITUDE) > INFINITY[dtype]) & ((bits & MAGNITUDE) > INFINITY[dtype])
    before, after = numbers.astype(np.float64), floats(bits.data, dtype).astype(np.float64)
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
