"""Statistics of one tensor against numpy, for every dtype that has numbers."""

import numpy as np
import numpy.typing as npt
import pytest

from ptzip.errors import LimitError
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.statistics import Statistics, listed, rows, statistics
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor


def tensor(array: npt.NDArray[np.generic], dtype: str = "", shape: tuple[int, ...] | None = None) -> Tensor:
    name = dtype or array.dtype.name
    storage = Storage("0", BY_NAME[name], array.nbytes, lambda: BytesPayload(array.tobytes()))
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor(
        name, array.shape if shape is None else shape, strides if shape is None else (0,) * len(shape), storage=storage
    )


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8", "int8"])
def test_plain_numbers(dtype: str) -> None:
    found = statistics(tensor(np.array([[3, 0, 1], [0, 7, 1]], dtype)))
    assert found[:7] == (6, 0, 7, 2.0, 0, 0, 2)


def test_nan_and_infinity_are_counted_and_kept_out_of_the_rest() -> None:
    found = statistics(tensor(np.array([np.nan, np.inf, -np.inf, 0, 4, -2, np.nan], "float32")))
    assert found._replace(mean=None)[:7] == (7, -2.0, 4.0, None, 2, 2, 1)
    assert found.mean == pytest.approx(2 / 3)


def test_nothing_finite_has_no_minimum() -> None:
    assert statistics(tensor(np.array([np.nan, np.inf], "float16")))[1:4] == (None, None, None)


def test_no_values_have_no_minimum() -> None:
    assert statistics(tensor(np.zeros((0, 3), "float32"))) == Statistics(0, None, None, None, 0, 0, 0)


def test_bfloat16_is_looked_at_as_numbers() -> None:
    found = statistics(tensor(np.array([0x3F80, 0xC000, 0x7FC0], "uint16"), "bfloat16"))
    assert (found.minimum, found.maximum, found.nans) == (-2.0, 1.0, 1)


def test_truth_values_are_looked_at() -> None:
    found = statistics(tensor(np.array([True, False, True])))
    assert (found.minimum, found.maximum, found.zeros) == (False, True, 1)


def test_complex_numbers_have_a_mean_and_no_order() -> None:
    found = statistics(tensor(np.array([1 + 1j, 3 - 1j, complex(np.nan, 0), 0], "complex64")))
    assert (found.minimum, found.maximum, found.nans, found.zeros) == (None, None, 1, 1)
    assert found.mean == pytest.approx(4 / 3)


def test_a_tensor_that_would_fill_the_memory_is_refused() -> None:
    huge = tensor(np.zeros(1, "float32"), shape=(1 << 20, 1 << 20))
    with pytest.raises(LimitError, match=f"repeats 4 bytes into {4 << 40},"):
        statistics(huge)


def test_rows_are_bounded_and_know_their_place() -> None:
    found = tensor(np.arange(12, dtype="int32").reshape(2, 2, 3))
    assert list(rows(found, 7)) == [((0, 0), [0, 1, 2]), ((0, 1), [3, 4, 5]), ((1, 0), [6])]
    assert len(list(rows(found, None))) == 4
    assert list(rows(tensor(np.array(5, "int32")), 10)) == [((), [5])]


def test_values_in_lists_are_plain_numbers() -> None:
    assert listed(tensor(np.array([[1, 2], [3, 4]], "float16"))) == [[1.0, 2.0], [3.0, 4.0]]
