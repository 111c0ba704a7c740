"""How the values of a tensor are spread: deviation, norm, percentiles, a histogram, and what float16 cannot hold of them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BINS = 32
PERCENTS = (1, 5, 25, 50, 75, 95, 99)

OVERFLOW = 65520.0
"""From here on, the nearest float16 is infinity: halfway from its largest number, 65504, to the next power of two."""

UNDERFLOW = 2.0**-25
"""Up to here, the nearest float16 is 0: half of its smallest number."""


class Spread(NamedTuple):
    """The spread of `numel` finite values that have an order.

    `percentiles` are those of `PERCENTS`; `histogram` counts values in `BINS` intervals of equal width from the smallest to the
    largest. `overflowing` and `vanishing` count those that become infinite or 0 in float16.
    """

    numel: int
    deviation: float
    norm: float
    percentiles: tuple[float, ...]
    histogram: tuple[int, ...]
    overflowing: int
    vanishing: int
    percents: tuple[int, ...] = PERCENTS


def spread(finite: Array) -> Spread | None:
    """The spread of finite values; None where there are none, or they are truth values or complex."""
    if not finite.size or finite.dtype.kind not in "iuf":
        return None
    is_wide = finite.dtype.itemsize > 4 or finite.dtype.kind != "f"
    values: npt.NDArray[np.floating[Any]] = finite.astype(np.float64 if is_wide else np.float32, copy=False)
    size = np.abs(values)
    with np.errstate(all="ignore"):
        squares = float(np.dot(values.astype(np.float64), values.astype(np.float64)))
        deviation = float(values.std(dtype=np.float64))
        percentiles = tuple(float(one) for one in np.percentile(values, PERCENTS))
    return Spread(
        numel=int(values.size),
        deviation=deviation,
        norm=math.sqrt(squares),
        percentiles=percentiles,
        histogram=_histogram(values),
        overflowing=int(np.count_nonzero(size >= OVERFLOW)),
        vanishing=int(np.count_nonzero((size <= UNDERFLOW) & (size > 0))),
    )


def joined_percentiles(spreads: Sequence[Spread]) -> tuple[float, ...]:
    """The percentiles of the values of several tensors, estimated from those of each: between two of them values are taken for
    evenly spread.
    """
    if len(spreads) == 1:
        return spreads[0].percentiles
    levels, weights = np.array(PERCENTS) / 100, np.array([one.numel for one in spreads], np.float64)
    values = np.unique([one.percentiles for one in spreads])
    shares = [np.interp(values, one.percentiles, levels, left=0, right=1) for one in spreads]
    joined = np.average(shares, axis=0, weights=weights)
    return tuple(float(one) for one in np.interp(levels, joined, values))


def _histogram(values: Array) -> tuple[int, ...]:
    """Counts of values; all in one interval where the range is too wide or too narrow for others."""
    low, high = float(values.min()), float(values.max())
    step = (high - low) / BINS
    if not 0 < step < math.inf:
        return (int(values.size),)
    at = np.minimum(((values - low) / step).astype(np.intp), BINS - 1)
    return tuple(int(count) for count in np.bincount(at, minlength=BINS))
