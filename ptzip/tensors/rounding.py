"""Rounding of floats to float16 and bfloat16, and the count of the values that the rounding lost.

The bits are those of torch's `tensor.half()` and `tensor.bfloat16()`: round to nearest even, with float64 and bfloat16 rounded
through float32 (`format.md` 6 measured that torch rounds float64 twice). Only the payload bits of NaNs may differ. float16 uses
numkong where it is installed, which is several times faster than numpy. Whether a cast may overflow is decided by
`slim --on-overflow`; `saturate` here carries that decision out.
"""

import functools
import operator
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Bits = npt.NDArray[np.uint16]

INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""The bits of infinity: larger magnitudes are NaNs, and the largest finite number is one below."""

MAGNITUDE = 0x7FFF
"""All bits but the sign, in both dtypes."""

SINGLE_INFINITY = 0x7F800000
"""The bits of infinity in float32."""

QUIET = 0x40
"""The mantissa bit that keeps a bfloat16 a NaN when the other mantissa bits are cut off."""


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
        return Loss(*map(operator.add, astuple(self), astuple(other)))


def floats(data: bytes | memoryview, dtype: str, big_endian: bool = False) -> "Floats":
    """The numbers in some bytes in native byte order: bfloat16 widened to float32, other dtypes as they are."""
    import numpy as np  # here, so that planning a cast does not load numpy

    order = ">" if big_endian else "<"
    if dtype == "bfloat16":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    numbers: Floats = np.frombuffer(data, f"{order}f{np.dtype(dtype).itemsize}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def narrow(numbers: "Floats", target: str = "float16", saturate: bool = False) -> "tuple[Bits, Loss]":
    """The bits of float32 or float64 numbers rounded to `target`, and what was lost.

    With `saturate`, finite numbers beyond the range become the largest finite number instead of infinity.
    """
    import numpy as np  # as above

    with np.errstate(all="ignore"):  # numpy keeps this per thread
        singles = numbers.astype(np.float32, copy=False)
        bits: Bits = _to_float16()(singles).view(np.uint16) if target == "float16" else _to_bfloat16(singles)
    magnitudes: Bits = bits & np.uint16(MAGNITUDE)
    loss = _loss(numbers, magnitudes, INFINITY[target])
    if saturate and loss.overflowed:
        overflowing = (magnitudes == INFINITY[target]) & np.isfinite(numbers)
        bits = bits - overflowing.astype(np.uint16)
    return bits, loss


@functools.cache
def _to_float16() -> "Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float16]]":
    """The fastest installed cast from float32 to float16."""
    import numpy as np  # as above

    try:
        from numkong import astype  # as above
    except ImportError:
        return lambda singles: singles.astype(np.float16)

    def cast(singles: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float16]":
        halves = np.empty(singles.shape, np.float16)
        astype(singles, "float16", out=halves)
        return halves

    return cast


def _to_bfloat16(singles: "npt.NDArray[np.float32]") -> "Bits":
    """The upper half of each bit pattern, rounded to nearest even; NaNs stay NaNs."""
    import numpy as np  # as above

    pattern = np.ascontiguousarray(singles).view(np.uint32)
    bits = ((pattern + 0x7FFF + (pattern >> 16 & 1)) >> 16).astype(np.uint16)
    is_nan = (pattern & (SINGLE_INFINITY | 0x7FFFFF)) > SINGLE_INFINITY
    if is_nan.any():
        bits[is_nan] = (pattern[is_nan] >> 16).astype(np.uint16) | QUIET
    return bits


def _loss(numbers: "Floats", magnitudes: "Bits", infinity: int) -> Loss:
    """Counted from the bits of the result; the numbers are read only where it holds an infinity or a zero."""
    import numpy as np  # as above

    overflowed = vanished = infinite = nan = 0
    if magnitudes.size and magnitudes.max() >= infinity:
        infinite = int(np.count_nonzero(np.isinf(numbers)))
        nan = int(np.count_nonzero(magnitudes > infinity))
        overflowed = int(np.count_nonzero(magnitudes == infinity)) - infinite
    zeros = magnitudes.size - np.count_nonzero(magnitudes)
    if zeros:
        vanished = int(zeros - (numbers.size - np.count_nonzero(numbers)))
    return Loss(overflowed, vanished, nan, infinite)
