"""Statistics and text of the values of one tensor: the only functions of `inspect` that read tensors and load numpy."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor


class Statistics(NamedTuple):
    """Counts over all values; minimum, maximum and mean of the finite ones, None where there are none or they have no order."""

    numel: int
    minimum: float | int | None
    maximum: float | int | None
    mean: float | complex | None
    nans: int
    infinities: int
    zeros: int


def statistics(tensor: Tensor) -> Statistics:
    """The statistics of a tensor. Raises UnsupportedError where numpy cannot represent its dtype."""
    array = _array(tensor)
    numbers = array if array.dtype.kind in "biuc" else array.astype("float64")
    if numbers.dtype.kind == "c":
        return _of_complex(numbers)
    is_float = numbers.dtype.kind == "f"
    finite = numbers[abs(numbers) < math.inf] if is_float else numbers.reshape(-1)
    nans = int((numbers != numbers).sum()) if is_float else 0  # only NaN differs from itself
    return Statistics(
        numel=int(array.size),
        minimum=finite.min().item() if finite.size else None,
        maximum=finite.max().item() if finite.size else None,
        mean=float(finite.mean(dtype="float64")) if finite.size else None,
        nans=nans,
        infinities=int(array.size - finite.size - nans),
        zeros=int(array.size - numbers.astype(bool).sum()),
    )


def _array(tensor: Tensor) -> Any:
    check_repeats(tensor.nbytes, tensor.storage.size if tensor.storage else 0)
    return tensor.numpy()


def _of_complex(numbers: Any) -> Statistics:
    finite = numbers[abs(numbers) < math.inf]
    nans = int((numbers != numbers).sum())
    mean = complex(finite.mean()) if finite.size else None
    infinities = int(numbers.size - finite.size - nans)
    return Statistics(int(numbers.size), None, None, mean, nans, infinities, int((numbers == 0).sum()))


def listed(tensor: Tensor) -> Any:
    """The values as nested lists of Python numbers."""
    array = _array(tensor)
    return (array if array.dtype.kind in "biufc" else array.astype("float64")).tolist()


def rows(tensor: Tensor, most: int | None) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """The values row by row, each row with its index; at most `most` values."""
    array = _array(tensor)
    numbers = array if array.dtype.kind in "biufc" else array.astype("float64")
    width = array.shape[-1] if array.ndim else 1
    remaining = array.size if most is None else most
    for index in itertools.product(*map(range, array.shape[:-1])):
        if remaining <= 0 or not width:
            return
        yield index, numbers[index].reshape(-1)[:remaining].tolist()
        remaining -= width
