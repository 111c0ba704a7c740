"""float16 of other floats, by numpy or several times faster by numkong where that is installed.

Rule: the bytes are those of `tensor.half()`: round to nearest even, float64 and bfloat16 through float32 (`format.md` 6
measured that torch rounds float64 twice). numkong's are the same but for the payload of NaNs, which a test holds.
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

INFINITY = 0x7C00
MAGNITUDE = 0x7FFF
"""The bits of a float16: its infinity, and all but the sign."""


def floats(data: bytes | memoryview, dtype: str, big_endian: bool = False) -> npt.NDArray[np.floating]:
    """The numbers in some bytes: float32, or float64 as it is."""
    order = ">" if big_endian else "<"
    if dtype == "bfloat16":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    numbers: npt.NDArray[np.floating] = np.frombuffer(data, f"{order}f{np.dtype(dtype).itemsize}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def to_half(numbers: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float16], Loss]:
    """float16 of float32 or float64 numbers, and what was lost."""
    with np.errstate(all="ignore"):  # numpy keeps this per thread
        singles = numbers.astype(np.float32, copy=False)
        halves = _half(singles)
    return halves, _loss(numbers, halves)


def _half(singles: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    if fast_cast is None:
        return singles.astype(np.float16)
    halves = np.empty(singles.shape, np.float16)
    fast_cast(singles, "float16", out=halves)
    return halves


def _loss(numbers: npt.NDArray[np.floating], halves: npt.NDArray[np.float16]) -> Loss:
    """Counted from the bits of the result; the numbers are looked at only where it holds an infinity or a zero."""
    bits = halves.view(np.uint16) & MAGNITUDE
    overflowed = vanished = 0
    if bits.size and bits.max() >= INFINITY:
        overflowed = int(np.count_nonzero(bits == INFINITY) - np.count_nonzero(np.isinf(numbers)))
    zeros = bits.size - np.count_nonzero(bits)
    if zeros:
        vanished = int(zeros - (numbers.size - np.count_nonzero(numbers)))
    return Loss(overflowed, vanished)
