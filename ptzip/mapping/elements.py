"""Which element of which tensors a byte of a storage belongs to, and its value."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ptzip.errors import PtzipError
from ptzip.mapping.owners import Owner
from ptzip.tensors.dtypes import PACKED
from ptzip.tensors.tensor import Tensor

MOST_TENSORS = 100
"""How many tensors of a storage are named, which may be a view of it each."""

MOST_TRIES = 10_000
"""How many positions along the axes of a tensor with overlapping strides are tried."""


class TensorElement(NamedTuple):
    """Byte `byte` of the `size` bytes of an element of a tensor, whose dtype may be another than that of its storage.

    `position` is the index of the element. `value` is a list where an element is several numbers, as two of float4, and None
    where numpy cannot represent it.
    """

    name: str
    position: tuple[int, ...]
    value: object
    dtype: str
    byte: int
    size: int


class Element(NamedTuple):
    """Byte `byte` of the `size` bytes of an element of a storage, and the same element of the tensors on it."""

    storage: str
    dtype: str
    location: str
    element: int
    byte: int
    size: int
    tensors: tuple[TensorElement, ...]


def element_at(owner: Owner, tensors: Mapping[str, Tensor], at: int) -> Element:
    """The element that byte `at` of a storage belongs to; a byte of several packed elements is an element here."""
    storage = owner.storage
    size = storage.dtype.size
    found = list[TensorElement]()
    for name in dict.fromkeys(owner.names):
        for path, tensor in _components(name, tensors[name]):
            if len(found) < MOST_TENSORS and tensor.storage is not None and tensor.storage.root[0] is storage:
                found += _tensor_element(path, tensor, at)
    return Element(storage.key, storage.dtype.name, storage.location, at // size, at % size, size, tuple(found))


def _components(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A tensor and, recursively, its components, with their names."""
    yield name, tensor
    for part, component in tensor.components.items():
        yield from _components(f"{name}.{part}" if name else part, component)


def _tensor_element(name: str, tensor: Tensor, at: int) -> Iterator[TensorElement]:
    """The element of a tensor at byte `at` of its storage, if it has one there."""
    is_strided = tensor.layout == "strided" and len(tensor.shape) == len(tensor.stride)
    if not is_strided or not tensor.itemsize or tensor.dtype in PACKED or tensor.storage is None:
        return
    element, byte = divmod(at - tensor.storage.root[1], tensor.itemsize)
    index = index_at(element - tensor.offset, tensor.shape, tensor.stride)
    if index is not None:
        yield TensorElement(name, index, _value(tensor, index), tensor.dtype, byte, tensor.itemsize)


def _value(tensor: Tensor, index: tuple[int, ...]) -> object:
    try:
        found: object = tensor[index].tolist()
    except PtzipError:
        return None
    return found


def index_at(element: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...] | None:
    """The index of the element that is so many after the first, one of several; None where there is none, or none is found
    among `MOST_TRIES` positions along the axes.
    """
    if element < 0 or 0 in shape:
        return None
    axes = sorted((axis for axis, size in enumerate(shape) if size > 1 and stride[axis]), key=lambda axis: -stride[axis])
    tries = iter(range(MOST_TRIES))

    def below(left: int, level: int) -> dict[int, int] | None:
        """The positions along the axes from a level on that lead so far."""
        if level == len(axes):
            return None if left else {}
        axis = axes[level]
        reach = sum((shape[one] - 1) * stride[one] for one in axes[level + 1 :])
        first, last = max(-(-(left - reach) // stride[axis]), 0), min(left // stride[axis], shape[axis] - 1)
        for position in range(last, first - 1, -1):
            if next(tries, None) is None:
                return None
            found = below(left - position * stride[axis], level + 1)
            if found is not None:
                return found | {axis: position}
        return None

    found = below(element, 0)
    return None if found is None else tuple(found.get(axis, 0) for axis in range(len(shape)))
