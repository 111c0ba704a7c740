"""What the values of one tensor are like. This alone reads the bytes of a tensor, and loads numpy for it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor


class Statistics(NamedTuple):
    """Of all values; minimum, maximum and mean are of the finite ones, None where there are none or they have no order."""

    numel: int
    minimum: float | int | None
    maximum: float | int | None
    mean: float | complex | None
    nans: int
    infinities: int
    zeros: int


def statistics(tensor: Tensor) -> Statistics:
    """The statistics of a tensor. Raises UnsupportedError where its dtype has no numbers in numpy."""
    array = _array(tensor)
    numbers = array if array.dtype.kind in "biuc" else array.astype("float64")
    if numbers.dtype.kind == "c":
        return _of_complex(numbers)
    is_float = numbers.dtype.kind == "f"
    finite = numbers[_finite(numbers)] if is_float else numbers.reshape(-1)
    nans = int((numbers != numbers).sum()) if is_float else 0  # a NaN alone differs from itself
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


def _finite(numbers: Any) -> Any:
    return abs(numbers) < math.inf


def _of_complex(numbers: Any) -> Statistics:
    finite = numbers[_finite(abs(numbers))]
    nans = int((numbers != numbers).sum())
    mean = complex(finite.mean()) if finite.size else None
    lost = int(numbers.size - finite.size - nans)
    return Statistics(int(numbers.size), None, None, mean, nans, lost, int((numbers == 0).sum()))


def listed(tensor: Tensor) -> Any:
    """The values in nested lists, as plain numbers."""
    array = _array(tensor)
    return (array if array.dtype.kind in "biufc" else array.astype("float64")).tolist()


def rows(tensor: Tensor, most: int | None) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """The values row by row, each with its place; at most `most` values."""
    array = _array(tensor)
    numbers = array if array.dtype.kind in "biufc" else array.astype("float64")
    width = array.shape[-1] if array.ndim else 1
    left = array.size if most is None else most
    for place in itertools.product(*map(range, array.shape[:-1])):
        if left <= 0 or not width:
            return
        yield place, numbers[place].reshape(-1)[:left].tolist()
        left -= width
