"""float16 and bfloat16 of other floats, by numpy, or for float16 several times faster by numkong where that is installed.

Rule: the bytes are those of `tensor.half()` and `tensor.bfloat16()`: round to nearest even, float64 and bfloat16 through
float32 (`format.md` 6 measured that torch rounds float64 twice). They are the same but for the payload of NaNs, which a test
holds.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ptzip.tensors.loss import Loss

fast_cast: Callable[..., object] | None
"""`numkong.astype`, where it is installed."""
try:
    from numkong import astype
except ImportError:
    fast_cast = None
else:
    fast_cast = astype

Bits = npt.NDArray[np.uint16]

INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""The bits of infinity; all that is above is no number, the largest number is one below."""

MAGNITUDE = 0x7FFF
"""All bits but the sign, of both."""

SINGLE_INFINITY = 0x7F800000
QUIET = 0x40
"""The bits of float32's infinity, and the bit of a bfloat16 that keeps a NaN one."""


def floats(data: bytes | memoryview, dtype: str, big_endian: bool = False) -> npt.NDArray[np.floating]:
    """The numbers in some bytes: float32, or float64 and float16 as they are."""
    order = ">" if big_endian else "<"
    if dtype == "bfloat16":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    numbers: npt.NDArray[np.floating] = np.frombuffer(data, f"{order}f{np.dtype(dtype).itemsize}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def narrow(numbers: npt.NDArray[np.floating], target: str = "float16", saturate: bool = False) -> tuple[Bits, Loss]:
    """The bits of float32 or float64 numbers in another dtype, and what was lost.

    With `saturate`, finite numbers beyond the range become the largest number there is.
    """
    with np.errstate(all="ignore"):  # numpy keeps this per thread
        singles = numbers.astype(np.float32, copy=False)
        bits = _halves(singles) if target == "float16" else _brains(singles)
    magnitudes: Bits = bits & np.uint16(MAGNITUDE)
    loss = _loss(numbers, magnitudes, INFINITY[target])
    if saturate and loss.overflowed:
        beyond = (magnitudes == INFINITY[target]) & np.isfinite(numbers)
        bits = bits - beyond.astype(np.uint16)
    return bits, loss


def _halves(singles: npt.NDArray[np.float32]) -> Bits:
    if fast_cast is None:
        return singles.astype(np.float16).view(np.uint16)
    halves = np.empty(singles.shape, np.float16)
    fast_cast(singles, "float16", out=halves)
    return halves.view(np.uint16)


def _brains(singles: npt.NDArray[np.float32]) -> Bits:
    """The upper half of each pattern, rounded to the nearest, an exact middle to the even one."""
    pattern = np.ascontiguousarray(singles).view(np.uint32)
    bits = ((pattern + 0x7FFF + (pattern >> 16 & 1)) >> 16).astype(np.uint16)
    is_nan = (pattern & (SINGLE_INFINITY | 0x7FFFFF)) > SINGLE_INFINITY
    if is_nan.any():
        bits[is_nan] = (pattern[is_nan] >> 16).astype(np.uint16) | QUIET
    return bits


def _loss(numbers: npt.NDArray[np.floating], magnitudes: Bits, infinity: int) -> Loss:
    """Counted from the bits of the result; the numbers are looked at only where it holds an infinity or a zero."""
    overflowed = vanished = infinite = nan = 0
    if magnitudes.size and magnitudes.max() >= infinity:
        infinite = int(np.count_nonzero(np.isinf(numbers)))
        nan = int(np.count_nonzero(magnitudes > infinity))
        overflowed = int(np.count_nonzero(magnitudes == infinity)) - infinite
    zeros = magnitudes.size - np.count_nonzero(magnitudes)
    if zeros:
        vanished = int(zeros - (numbers.size - np.count_nonzero(numbers)))
    return Loss(overflowed, vanished, nan, infinite)
