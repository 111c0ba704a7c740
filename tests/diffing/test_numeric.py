"""The numbers of a comparison are those that numpy computes in float64, whatever the dtypes and wherever the pieces end."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ptzip.diffing import numeric as numbers
from ptzip.diffing.numeric import Tolerance, sums
from ptzip.diffing.report import NumericDifference
from ptzip.io.buffers import Buffers

Array = npt.NDArray[Any]

EXACTLY = Tolerance()
FLOATS = ["float16", "float32", "float64"]
OTHERS = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int32", "bool"]


def of(a: Array, b: Array, rtol: float = 0.0, atol: float = 0.0) -> NumericDifference:
    return sums(a, b, Tolerance(rtol, atol), Buffers()).numbers()


def plainly(a: Array, b: Array) -> NumericDifference:
    """The same, all at once, of finite numbers."""
    old, new = a.astype(np.float64).reshape(-1), b.astype(np.float64).reshape(-1)
    error = np.abs(old - new)
    relative = (error[old != 0] / np.abs(old[old != 0])).max(initial=0.0)
    length = math.sqrt((old**2).sum()) * math.sqrt((new**2).sum())
    differing = int((old != new).sum())
    cosine = float((old * new).sum() / length) if 0 < length < math.inf else None
    return NumericDifference(old.size, differing, differing, float(error.max()), float(relative), cosine)


def check(found: NumericDifference, expected: NumericDifference) -> None:
    assert found._replace(cosine=None, distance=None) == expected._replace(cosine=None)
    assert (found.cosine is None) == (expected.cosine is None)
    if found.cosine is not None and expected.cosine is not None:
        assert found.cosine == pytest.approx(expected.cosine, abs=1e-14)


@pytest.mark.parametrize("old", [*FLOATS, *OTHERS])
@pytest.mark.parametrize("new", [*FLOATS, *OTHERS])
def test_they_are_those_of_numpy_for_every_pair_of_dtypes(old: str, new: str) -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal(3 * numbers.PIECE + 5) * 10
    a, b = (np.abs(values).astype(np.dtype(name)) if name[0] in "ub" else values.astype(np.dtype(name)) for name in (old, new))
    check(of(a, b), plainly(a, b))


@given(st.data())
def test_they_are_those_of_numpy_for_any_finite_numbers(data: st.DataObject) -> None:
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3))
    a, b = (
        data.draw(arrays.arrays(data.draw(st.sampled_from(FLOATS)), shape, elements={"min_value": -1e4, "max_value": 1e4}))
        for _ in range(2)
    )
    with np.errstate(all="ignore"):
        check(of(a, b), plainly(a, b))


@given(st.data())
def test_near_is_what_numpy_calls_close(data: st.DataObject) -> None:
    values = st.one_of(st.floats(-10, 10), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]))
    a, b = (np.array(data.draw(st.lists(values, min_size=8, max_size=8))) for _ in range(2))
    rtol, atol = (data.draw(st.sampled_from([0.0, 1e-3, 0.5])) for _ in range(2))
    close = np.isclose(a, b, rtol, atol, equal_nan=True)
    assert of(a, b, rtol, atol).beyond == (~close).sum()


def test_nan_is_the_same_as_nan_and_what_is_finite_in_one_alone_is_counted() -> None:
    a = np.array([math.nan, math.inf, math.inf, 1.0, 2.0, math.nan])
    b = np.array([math.nan, math.inf, -math.inf, math.inf, 2.5, 0.0], np.float32)
    assert of(a, b) == NumericDifference(6, 4, 4, 0.5, 0.25, 1.0, lone=2, distance=0.25)


@pytest.mark.parametrize("times", [1, 3 * numbers.PIECE])
def test_the_distance_is_a_part_of_the_norm_of_a(times: int) -> None:
    a, b = np.array([3.0, 4.0] * times), np.array([3.0, 4.0 + 5e-9] * times)
    assert of(a, b).distance == pytest.approx(1e-9)
    assert of(a, a).distance == 0
    assert of(0 * a, b).distance is None


def test_numbers_that_are_not_finite_say_nothing_of_the_angle() -> None:
    assert of(np.array([math.inf]), np.array([math.inf])).cosine is None
    assert of(np.zeros(3), np.ones(3)).cosine is None


def test_complex_numbers_are_compared_in_the_plane() -> None:
    random = np.random.default_rng(2)
    a, b = (random.standard_normal(100) + 1j * random.standard_normal(100) for _ in range(2))
    found = of(a.astype(np.complex64), b)
    wide = a.astype(np.complex64).astype(np.complex128)
    assert found.absolute == np.abs(wide - b).max()
    assert found.relative == (np.abs(wide - b) / np.abs(wide)).max()
    cosine = np.vdot(wide, b).real / (np.linalg.norm(wide) * np.linalg.norm(b))
    assert found.cosine == pytest.approx(cosine, abs=1e-15)
    odd = np.array([complex(1, math.nan), complex(math.inf, 2)])
    assert of(odd, odd).differing == 0
    assert of(odd, odd.conj()).differing == 1


BIG = 1 << 53


@pytest.mark.parametrize(
    ("old", "new", "distance"),
    [
        (np.int64(BIG), np.int64(BIG + 1), 1),
        (np.int64(BIG + 1), np.float64(BIG), 1),
        (np.int64(BIG), np.float64(BIG), 0),
        (np.int64(2**63 - 1), np.uint64(2**63), 1),
        (np.uint64(2**64 - 1), np.float32(2**64), 1),
        (np.int64(-(2**63)), np.uint64(2**64 - 1), 2**64 + 2**63),
        (np.int64(2**62 + 1), np.int64(2**62 + 1), 0),
        (np.int64(2**62 + 1), np.complex128(2**62), 1),
    ],
)
def test_integers_that_float64_cannot_represent_are_compared_exactly(old: Any, new: Any, distance: int) -> None:
    found = of(np.array([old, 0], old.dtype), np.array([new, 0], new.dtype))
    assert (found.differing, found.beyond, found.absolute) == (bool(distance), bool(distance), distance)


def test_differences_beyond_float64_are_infinite() -> None:
    found = of(np.array([1.7e308]), np.array([-1.7e308]))
    assert (found.absolute, found.differing, found.lone, found.cosine) == (math.inf, 1, 0, None)


def test_repeated_numbers_count_as_often() -> None:
    found = sums(np.array([1.0, 2.0]), np.array([1.0, 3.0]), EXACTLY, Buffers()).numbers(10)
    assert (found.numel, found.differing, found.beyond, found.absolute) == (20, 10, 10, 1.0)


def test_float4_is_widened_too() -> None:
    values = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn)
    assert of(values, values[::-1].copy()).absolute == max(abs(values.astype(float) - values[::-1].astype(float)))
