"""How far some numbers are from others, piece by piece.

Rule: everything is computed in float64 (complex128), in pieces that fit the caches; a difference of integers that float64 does
not hold is computed exactly, so that it is 0 only where they are the same.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptzip.diffing.report import Numbers

Array = npt.NDArray[Any]

PIECE = 1 << 16
"""Numbers that are widened together."""

EXACT = 2.0**53
"""Up to here, float64 has every integer."""


class Tolerance(NamedTuple):
    """Two numbers are near where `|a - b| <= atol + rtol * |b|`, as numpy and torch have it."""

    rtol: float = 0.0
    atol: float = 0.0


class Sums(NamedTuple):
    """What is known of the numbers so far; `aa`, `bb` and `ab` are sums of products."""

    numel: int = 0
    differing: int = 0
    beyond: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    lone: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0

    def joined(self, other: "Sums") -> "Sums":
        return Sums(
            self.numel + other.numel,
            self.differing + other.differing,
            self.beyond + other.beyond,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            self.lone + other.lone,
            self.aa + other.aa,
            self.bb + other.bb,
            self.ab + other.ab,
        )

    def repeated(self, times: int) -> "Sums":
        """The same where each number stands for several."""
        counts = {"numel": self.numel * times, "differing": self.differing * times, "beyond": self.beyond * times}
        return self._replace(**counts, lone=self.lone * times)

    def numbers(self) -> Numbers:
        return Numbers(self.numel, self.differing, self.beyond, self.absolute, self.relative, self._cosine(), self.lone)

    def _cosine(self) -> float | None:
        length = np.sqrt(self.aa) * np.sqrt(self.bb)
        found = float(self.ab / length) if 0 < length < np.inf else None
        return None if found is None else max(-1.0, min(1.0, found))


def sums(a: Array, b: Array, tolerance: Tolerance) -> Sums:
    """What is to be known of two arrays of as many numbers each."""
    found = Sums()
    a, b = a.reshape(-1), b.reshape(-1)
    with np.errstate(all="ignore"):
        for at in range(0, a.size, PIECE):
            found = found.joined(_piece(a[at : at + PIECE], b[at : at + PIECE], tolerance))
    return found


def _piece(a: Array, b: Array, tolerance: Tolerance) -> Sums:
    old, new = _wide(a, b)
    error = np.abs(old - new)
    if _is_long(a) or _is_long(b):
        _make_exact(error, a, b, old, new)
    if np.isfinite(error.max()):  # what is not finite, in either, would make it so too
        return _of_finite(old, new, error, tolerance)
    is_old, is_new = np.isfinite(old), np.isfinite(new)
    both = is_old & is_new
    unlike = int(np.count_nonzero(~both & ~_alike(old, new)))
    found = _of_finite(old[both], new[both], error[both], tolerance)
    return found._replace(
        numel=a.size,
        differing=found.differing + unlike,
        beyond=found.beyond + unlike,
        lone=int(np.count_nonzero(is_old ^ is_new)),
    )


def _wide(a: Array, b: Array) -> tuple[Array, Array]:
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    return a.astype(wide), b.astype(wide)


def _alike(a: Array, b: Array) -> Array:
    """Which are the same, NaN the same as NaN."""
    if a.dtype.kind == "c":
        alike: Array = _alike(a.real, b.real) & _alike(a.imag, b.imag)
        return alike
    found: Array = (a == b) | (np.isnan(a) & np.isnan(b))
    return found


def _is_long(array: Array) -> bool:
    """Whether float64 does not have every number of the dtype."""
    return array.dtype.kind in "iu" and array.itemsize == 8


def _make_exact(error: Array, a: Array, b: Array, old: Array, new: Array) -> None:
    """Correct the differences of integers too large for float64."""
    doubtful = np.isfinite(error) & ((np.abs(old) >= EXACT) | (np.abs(new) >= EXACT))
    if a.dtype == b.dtype:
        doubtful &= a != b
    if doubtful.any():
        pairs = zip(a[doubtful].tolist(), b[doubtful].tolist(), strict=True)
        error[doubtful] = [_distance(one, other) for one, other in pairs]


def _distance(a: Any, b: Any) -> float:
    if isinstance(a, complex) or isinstance(b, complex):
        real = abs(Fraction(a.real) - Fraction(b.real))
        return abs(complex(float(real), a.imag - b.imag))
    return float(abs(Fraction(a) - Fraction(b)))


def _of_finite(old: Array, new: Array, error: Array, tolerance: Tolerance) -> Sums:
    if not old.size:
        return Sums()
    differing = beyond = int(np.count_nonzero(error))
    relative = 0.0
    if differing:
        size = np.abs(old)
        relative = float(np.divide(error, size, out=np.zeros_like(error), where=size > 0).max())
        if any(tolerance):
            beyond = int(np.count_nonzero(error > tolerance.atol + tolerance.rtol * np.abs(new)))
    parts = (old.view(np.float64), new.view(np.float64)) if old.dtype.kind == "c" else (old, new)
    aa, bb, ab = (float((one * other).sum()) for one, other in ((parts[0], parts[0]), (parts[1], parts[1]), parts))
    return Sums(old.size, differing, beyond, float(error.max()), relative, 0, aa, bb, ab)
