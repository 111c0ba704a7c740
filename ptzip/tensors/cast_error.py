"""Two tensors, number by number: the same, rounded, or something else.

Rule: no more than a stretch of each is widened at once.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ptzip.io.sources import CHUNK
from ptzip.tensors.loss import Difference
from ptzip.tensors.rounding import INFINITY, MAGNITUDE, floats, narrow
from ptzip.tensors.tensor import Tensor

TINY = {"float16": 2.0**-14, "bfloat16": 2.0**-126}
"""The smallest number that has all its digits."""


def difference(old: Tensor, new: Tensor, saturate: bool = False) -> Difference:
    """How far `new` is from `old`, which has the same shape. Raises as `Tensor.tobytes` does."""
    if old.dtype == new.dtype:
        is_equal = old.tobytes() == new.tobytes()
        return Difference(new.numel, is_equal=is_equal, is_rounded=is_equal)
    found = Difference()
    for before, bits in _stretches(old, new):
        found = found.joined(_of(before, bits, new.dtype, saturate))
    return found


def _stretches(old: Tensor, new: Tensor) -> Iterator[tuple[npt.NDArray[np.floating], npt.NDArray[np.uint16]]]:
    before, after = old.tobytes(), np.frombuffer(new.tobytes(), np.uint16)
    for at in range(0, after.size, CHUNK):
        stop = min(at + CHUNK, after.size)
        yield floats(before[at * old.itemsize : stop * old.itemsize], old.dtype), after[at:stop]


def _of(before: npt.NDArray[np.floating], bits: npt.NDArray[np.uint16], dtype: str, saturate: bool) -> Difference:
    expected, _ = narrow(before, dtype, saturate)
    both_nan = ((expected & MAGNITUDE) > INFINITY[dtype]) & ((bits & MAGNITUDE) > INFINITY[dtype])
    is_rounded = bool(((expected == bits) | both_nan).all())
    wide, after = before.astype(np.float64), floats(bits.tobytes(), dtype).astype(np.float64)
    finite = np.isfinite(wide) & np.isfinite(after)
    with np.errstate(all="ignore"):
        error = np.abs(wide - after)[finite]
        normal = error / np.abs(wide[finite])
    has_digits = np.abs(wide[finite]) >= TINY[dtype]
    magnitude = np.abs(after)
    subnormal = int(np.count_nonzero((magnitude > 0) & (magnitude < TINY[dtype])))
    return Difference(
        bits.size, _largest(error), _largest(normal[has_digits]), subnormal, bool((wide == after).all()), is_rounded
    )


def _largest(numbers: npt.NDArray[Any]) -> float:
    return float(numbers.max()) if numbers.size else 0.0
