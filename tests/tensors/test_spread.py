"""How the values of a tensor are spread."""

import numpy as np
import pytest

from ptzip.tensors.spread import BINS, OVERFLOW, PERCENTS, UNDERFLOW, spread


def test_a_known_array() -> None:
    values = np.arange(101, dtype="float32")
    found = spread(values)
    assert found is not None
    assert found.percentiles == tuple(map(float, PERCENTS))
    assert found.deviation == pytest.approx(values.std())
    assert found.norm == pytest.approx(np.linalg.norm(values))
    assert sum(found.histogram) == 101
    assert len(found.histogram) == BINS


@pytest.mark.parametrize("value", [OVERFLOW, np.nextafter(OVERFLOW, 0), UNDERFLOW, np.nextafter(UNDERFLOW, 1), 0.0, 65504.0])
def test_what_float16_cannot_hold_is_counted_as_numpy_rounds_it(value: float) -> None:
    found = spread(np.array([value, -value]))
    with np.errstate(over="ignore", under="ignore"):
        cast = float(np.float16(value))
    assert found is not None
    assert found.overflowing == (2 if np.isinf(cast) else 0)
    assert found.vanishing == (2 if value and not cast else 0)


@pytest.mark.parametrize("values", [[], [True], [1j]])
def test_values_without_an_order_have_no_spread(values: list[object]) -> None:
    assert spread(np.array(values)) is None


@pytest.mark.parametrize("values", [[2.0, 2.0], [-1.7e308, 1.7e308], [5e-324, 0.0]])
def test_a_range_that_cannot_be_divided_is_one_interval(values: list[float]) -> None:
    found = spread(np.array(values))
    assert found is not None
    assert sum(found.histogram) == 2
