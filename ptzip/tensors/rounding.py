"""Rounding of floats to float16 and bfloat16, and the count of the values that the rounding lost.

The bits are those of torch's `tensor.half()` and `tensor.bfloat16()`: round to nearest even, with float64 and bfloat16 rounded
through float32 (`format.md` 6 measured that torch rounds float64 twice). Only the payload bits of NaNs may differ from torch's.
Both use numkong where it is installed, which is several times faster, to the same bits. Whether a cast may overflow
is decided by `slim --on-overflow`; `saturate` here carries that decision out.

With `buffers`, arrays are made in the memory of a worker, and are gone with the next call.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ptzip.io.buffers import Buffers

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Number = TypeVar("Number", bound=np.generic)
    Floats = npt.NDArray[np.floating]
    Singles = npt.NDArray[np.float32]
    Bits = npt.NDArray[np.uint16]
    Kernel = Callable[[Singles, Bits, Buffers | None], None]

INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""The bits of infinity: larger magnitudes are NaNs, and the largest finite number is one below."""

MAGNITUDE = 0x7FFF
"""All bits but the sign, in both dtypes."""

SINGLE_INFINITY = 0x7F800000
"""The bits of infinity in float32."""

QUIET = 0x40
"""The mantissa bit that keeps a bfloat16 a NaN when the other mantissa bits are cut off."""

SMALLEST, BEYOND = 113 << 23, 143 << 23
"""The bits of the float32 numbers 2**-14, the smallest normal float16, and 2**16, beyond its range."""

ROUNDING = 13 << 23 | 0x800
"""Added to the bits of a power of two: 2**13 times as much, whose last bit counts what the last bit of a float16 counts.
0x800 turns what remains of the exponent into that of a float16."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a cast did to the values: finite ones that overflowed, and values other than 0 that vanished (became 0).

    `nan` and `infinite` count values that were already NaN or infinite.
    """

    overflowed: int = 0
    vanished: int = 0
    nan: int = 0
    infinite: int = 0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(
            self.overflowed + other.overflowed,
            self.vanished + other.vanished,
            self.nan + other.nan,
            self.infinite + other.infinite,
        )


NOTHING = Loss()
"""The loss of most blocks."""


def floats(data: bytes | memoryview, dtype: str, big_endian: bool = False, buffers: Buffers | None = None) -> "Floats":
    """The numbers in some bytes in native byte order: bfloat16 widened to float32, other dtypes as they are."""
    import numpy as np  # here, so that planning a cast does not load numpy

    order = ">" if big_endian else "<"
    if dtype == "bfloat16":
        return widened(np.frombuffer(data, f"{order}u2"), dtype, buffers)
    numbers: Floats = np.frombuffer(data, f"{order}f{np.dtype(dtype).itemsize}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def widened(bits: "Bits", dtype: str, buffers: Buffers | None = None) -> "Singles":
    """The numbers that some bits of float16 or bfloat16 stand for, in float32."""
    import numpy as np  # as above

    wide = array(buffers, "widened", bits.size, np.float32)
    if dtype == "bfloat16":
        np.copyto(wide.view(np.uint32), bits)
        np.left_shift(wide.view(np.uint32), 16, out=wide.view(np.uint32))
    elif fast := _numkong():
        fast(bits.view(np.float16), "float32", out=wide)
    else:
        np.copyto(wide, bits.view(np.float16))
    return wide


def array(buffers: Buffers | None, use: str, size: int, dtype: "type[Number]") -> "npt.NDArray[Number]":
    """An array for a use in the memory of a worker, or a new one."""
    import numpy as np  # as above

    if buffers is None:
        return np.empty(size, dtype)
    return np.frombuffer(buffers.get(use, size * np.dtype(dtype).itemsize), dtype)


def narrow(
    numbers: "Floats", target: str = "float16", saturate: bool = False, buffers: Buffers | None = None
) -> "tuple[Bits, Loss]":
    """The bits of float32 or float64 numbers rounded to `target`, and what was lost.

    With `saturate`, finite numbers beyond the range become the largest finite number instead of infinity.
    """
    import numpy as np  # as above

    infinity = INFINITY[target]
    bits = array(buffers, "bits", numbers.size, np.uint16)
    with np.errstate(all="ignore"):  # numpy keeps this per thread
        singles = _singles(numbers, buffers)
        _fastest(target)(singles, bits, buffers)
        magnitudes = np.bitwise_and(bits, np.uint16(MAGNITUDE), out=array(buffers, "magnitudes", bits.size, np.uint16))
        if magnitudes.max(initial=0) > infinity:  # libraries keep other bits of a NaN
            _mend_nans(singles, bits, target)
    loss = _loss(numbers, magnitudes, infinity, buffers)
    if saturate and loss.overflowed:
        np.subtract(bits, (magnitudes == infinity) & np.isfinite(numbers), out=bits)
    return bits, loss


def _singles(numbers: "Floats", buffers: Buffers | None) -> "Singles":
    import numpy as np  # as above

    if numbers.dtype == np.float32:
        return numbers
    singles = array(buffers, "singles", numbers.size, np.float32)
    np.copyto(singles, numbers, casting="unsafe")
    return singles


@functools.cache
def _numkong() -> "Callable[..., Any] | None":
    """numkong's cast of any dtype to any other, where a version that has it (7.8) is installed."""
    try:
        from numkong import astype  # as above
    except ImportError:
        return None
    cast: Callable[..., Any] = astype
    return cast


@functools.cache
def _fastest(target: str) -> "Kernel":
    """The fastest installed cast of float32 to a target; the bits of its NaNs may be others."""
    astype = _numkong()
    if astype is None:
        return _to_float16 if target == "float16" else _to_bfloat16
    dtype = _numpy_dtype(target)

    def cast(singles: "Singles", bits: "Bits", buffers: Buffers | None) -> None:
        astype(singles, target, out=bits.view(dtype))

    return cast


def _to_float16(singles: "Singles", bits: "Bits", buffers: Buffers | None) -> None:
    """The cast of numpy, in operations that run on many numbers at once.

    To add a power of two rounds a number to the last bit of the sum, and its low bits are those of the rounded number.
    """
    import numpy as np  # as above

    pattern = singles.view(np.uint32)
    power, rounded = (array(buffers, use, pattern.size, np.uint32) for use in ("power", "rounded"))
    np.bitwise_and(pattern, SINGLE_INFINITY, out=power)
    if power.max(initial=0) >= BEYOND:
        _by_numpy(singles, bits, "float16")
        return
    rounded.fill(SMALLEST)
    np.maximum(power, rounded, out=power)  # subnormals are counted in the same steps
    np.add(power, ROUNDING, out=power)
    np.abs(singles, out=rounded.view(np.float32))
    np.add(power.view(np.float32), rounded.view(np.float32), out=rounded.view(np.float32))
    np.right_shift(power, 13, out=power)  # to where a float16 has its exponent; higher bits than 16 are cut off
    np.add(rounded, power, out=rounded)
    np.right_shift(pattern, 16, out=power)
    np.bitwise_and(power, 0x8000, out=power)
    np.add(rounded, power, out=rounded)
    np.copyto(bits, rounded, casting="unsafe")


def _to_bfloat16(singles: "Singles", bits: "Bits", _: Buffers | None) -> None:
    _by_numpy(singles, bits, "bfloat16")


def _by_numpy(singles: "Singles", bits: "Bits", target: str) -> None:
    import numpy as np  # as above

    np.copyto(bits.view(_numpy_dtype(target)), singles, casting="unsafe")


def _mend_nans(singles: "Singles", bits: "Bits", target: str) -> None:
    """Give NaNs the bits that numpy gives those of float16, and what fits of their own those of bfloat16."""
    import numpy as np  # as above

    is_nan = np.isnan(singles)
    if target == "bfloat16":
        bits[is_nan] = singles.view(np.uint32)[is_nan] >> 16 | QUIET
    else:
        bits[is_nan] = singles[is_nan].astype(np.float16).view(np.uint16)


def _numpy_dtype(target: str) -> "np.dtype[Any]":
    import numpy as np  # as above

    if target == "bfloat16":
        import ml_dtypes  # noqa: F401 (numpy then knows bfloat16)
    return np.dtype(target)


def _loss(numbers: "Floats", magnitudes: "Bits", infinity: int, buffers: Buffers | None) -> Loss:
    """Counted from the bits of the result; the numbers are read only where its extremes are an infinity or a zero."""
    import numpy as np  # as above

    if not magnitudes.size or (magnitudes.min() > 0 and magnitudes.max() < infinity):
        return NOTHING
    mask, vanished, overflowed, infinite, nan = array(buffers, "mask", numbers.size, np.bool_), 0, 0, 0, 0
    if not magnitudes.min():
        vanished = _count(np.equal(magnitudes, 0, out=mask)) - _count(np.equal(numbers, 0, out=mask))
    if magnitudes.max() >= infinity:
        nan = _count(np.greater(magnitudes, infinity, out=mask))
        infinite = _count(np.isinf(numbers, out=mask))
        overflowed = _count(np.equal(magnitudes, infinity, out=mask)) - infinite
    return Loss(overflowed, vanished, nan, infinite)


def _count(mask: "npt.NDArray[np.bool_]") -> int:
    return int(mask.sum())
