"""How far the numbers of two arrays are apart.

Everything is computed in float64 (or complex128), in pieces that fit the caches. Differences of integers that float64 cannot
represent are computed exactly, so that a difference is 0 only where the integers are equal.
"""

import operator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptzip.diffing.report import NumericDifference
from ptzip.io.buffers import Buffers

Array = npt.NDArray[Any]

PIECE = 1 << 15
"""Numbers that are converted to float64 together."""

EXACT = 2.0**53
"""Up to here, float64 represents every integer."""


class Tolerance(NamedTuple):
    """Two numbers are close where `|a - b| <= atol + rtol * |b|`, as in `numpy.isclose` and `torch.isclose`."""

    rtol: float = 0.0
    atol: float = 0.0


class Sums(NamedTuple):
    """The fields of `NumericDifference` for the numbers so far; `aa`, `bb` and `ab` are sums of products, for the
    cosine, and `dd` is that of the squared differences."""

    numel: int = 0
    differing: int = 0
    beyond: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    lone: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0

    def joined(self, other: "Sums") -> "Sums":
        absolute, relative = max(self.absolute, other.absolute), max(self.relative, other.relative)
        return Sums(*map(operator.add, self, other))._replace(absolute=absolute, relative=relative)

    def numbers(self, times: int = 1) -> NumericDifference:
        """The result, if each number occurs so many times."""
        length = np.sqrt(self.aa) * np.sqrt(self.bb)
        cosine = max(-1.0, min(1.0, float(self.ab / length))) if 0 < length < np.inf else None
        counts = self.numel * times, self.differing * times, self.beyond * times
        distance = float(np.sqrt(self.dd) / np.sqrt(self.aa)) if 0 < self.aa < np.inf else None
        return NumericDifference(*counts, self.absolute, self.relative, cosine, self.lone * times, distance)


def sums(a: Array, b: Array, tolerance: Tolerance, buffers: Buffers) -> Sums:
    """The sums over two arrays with the same number of elements, computed in memory of `buffers`."""
    found = Sums()
    a, b = a.reshape(-1), b.reshape(-1)
    with np.errstate(all="ignore"):
        for at in range(0, a.size, PIECE):
            found = found.joined(_piece(a[at : at + PIECE], b[at : at + PIECE], tolerance, buffers))
    return found


def _piece(a: Array, b: Array, tolerance: Tolerance, buffers: Buffers) -> Sums:
    dtype = np.dtype(np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64)
    old, new, error = (_array(buffers, use, a.size, dtype) for use in ("old", "new", "error"))
    np.copyto(old, a, casting="unsafe")
    np.copyto(new, b, casting="unsafe")
    np.subtract(old, new, out=error)
    error = np.abs(error) if dtype.kind == "c" else np.abs(error, out=error)
    if any(array.dtype.kind in "iu" and array.itemsize == 8 for array in (a, b)):
        _make_exact(error, a, b, old, new)
    if np.isfinite(error.max()):  # then all numbers of both are finite
        return _of_finite(old, new, error, tolerance, buffers)
    is_old, is_new = np.isfinite(old), np.isfinite(new)
    both = is_old & is_new
    unequal = int(np.count_nonzero(~both & ~_are_equal(old, new)))
    found = _of_finite(old[both], new[both], error[both], tolerance, buffers)
    return found._replace(
        numel=a.size,
        differing=found.differing + unequal,
        beyond=found.beyond + unequal,
        lone=int(np.count_nonzero(is_old ^ is_new)),
    )


def _are_equal(a: Array, b: Array) -> Array:
    """Which numbers are equal, with NaN equal to NaN."""
    if a.dtype.kind == "c":
        return _are_equal(a.real, b.real) & _are_equal(a.imag, b.imag)
    return (a == b) | (np.isnan(a) & np.isnan(b))  # type: ignore[no-any-return]


def _make_exact(error: Array, a: Array, b: Array, old: Array, new: Array) -> None:
    """Correct the differences of integers that are too large for float64."""
    inexact = np.isfinite(error) & ((np.abs(old) >= EXACT) | (np.abs(new) >= EXACT))
    if a.dtype == b.dtype:
        inexact &= a != b
    if inexact.any():
        pairs = zip(a[inexact].tolist(), b[inexact].tolist(), strict=True)
        error[inexact] = [_distance(one, other) for one, other in pairs]


def _distance(a: Any, b: Any) -> float:
    if isinstance(a, complex) or isinstance(b, complex):
        real = abs(Fraction(a.real) - Fraction(b.real))
        return abs(complex(float(real), a.imag - b.imag))
    return float(abs(Fraction(a) - Fraction(b)))


def _of_finite(old: Array, new: Array, error: Array, tolerance: Tolerance, buffers: Buffers) -> Sums:
    if not old.size:
        return Sums()
    differing = beyond = int(np.count_nonzero(error != 0))  # a mask is counted faster than floats
    relative = squares = 0.0
    if differing:
        squares = _dot(error, error, buffers)
        relative = _greatest_ratio(error, np.abs(old, out=_array(buffers, "size", old.size, error.dtype)))
        if any(tolerance):
            beyond = int(np.count_nonzero(error > tolerance.atol + tolerance.rtol * np.abs(new)))
    one, other = (old.view(np.float64), new.view(np.float64)) if old.dtype.kind == "c" else (old, new)
    aa, bb, ab = (_dot(*pair, buffers) for pair in ((one, one), (other, other), (one, other)))
    return Sums(old.size, differing, beyond, float(error.max()), relative, 0, aa, bb, ab, squares)


def _greatest_ratio(error: Array, size: Array) -> float:
    """The greatest relative error, 0 where a number is 0; overwrites `size`."""
    where = True if size.min() > 0 else size > 0  # a mask takes three times as long
    return float(np.divide(error, size, out=size, where=where).max())


def _dot(one: Array, other: Array, buffers: Buffers) -> float:
    """The sum of products. Unlike `numpy.dot` it does not wait for threads of BLAS, and adds in the same order everywhere."""
    return float(np.multiply(one, other, out=_array(buffers, "product", one.size, one.dtype)).sum())


def _array(buffers: Buffers, use: str, size: int, dtype: np.dtype[Any]) -> Array:
    return np.frombuffer(buffers.get(use, size * dtype.itemsize), dtype)
