"""Statistics and text of the values of one tensor: the only functions of `inspect` that read tensors and load numpy."""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor

if TYPE_CHECKING:
    from ptzip.tensors.spread import Spread


class Statistics(NamedTuple):
    """Counts over all values; minimum, maximum, mean and spread of the finite ones, None where there are none or they have no
    order."""

    numel: int
    minimum: float | int | None
    maximum: float | int | None
    mean: float | complex | None
    nans: int
    infinities: int
    zeros: int
    spread: "Spread | None" = None


def statistics(tensor: Tensor) -> Statistics:
    """The statistics of a tensor. Raises UnsupportedError where numpy cannot represent its dtype."""
    from ptzip.tensors.spread import spread  # here, with numpy: a program that only looks at tensors does not load it

    numbers = _numbers(tensor, "biuc")
    is_complex, is_exact = numbers.dtype.kind == "c", numbers.dtype.kind in "biu"
    finite = numbers.reshape(-1) if is_exact else numbers[abs(numbers) < math.inf]
    nans = 0 if is_exact else int((numbers != numbers).sum())  # only NaN differs from itself
    is_ordered = finite.size and not is_complex
    return Statistics(
        numel=int(numbers.size),
        minimum=finite.min().item() if is_ordered else None,
        maximum=finite.max().item() if is_ordered else None,
        mean=finite.mean(dtype=None if is_complex else "float64").item() if finite.size else None,
        nans=nans,
        infinities=int(numbers.size - finite.size - nans),
        zeros=int(numbers.size - numbers.astype(bool).sum()),
        spread=spread(finite.reshape(-1)),
    )


def _numbers(tensor: Tensor, kinds: str = "biufc") -> Any:
    """The values as an array, in float64 unless its kind of dtype is one of `kinds`."""
    check_repeats(tensor.nbytes, tensor.storage.size if tensor.storage else 0)
    array = tensor.numpy()
    return array if array.dtype.kind in kinds else array.astype("float64")


def listed(tensor: Tensor) -> Any:
    """The values as nested lists of Python numbers."""
    return _numbers(tensor).tolist()


def rows(tensor: Tensor, most: int | None) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """The values row by row, each row with its index; at most `most` values."""
    numbers = _numbers(tensor)
    width = numbers.shape[-1] if numbers.ndim else 1
    remaining = numbers.size if most is None else most
    for index in itertools.product(*map(range, numbers.shape[:-1])):
        if remaining <= 0 or not width:
            return
        yield index, numbers[index].reshape(-1)[:remaining].tolist()
        remaining -= width
