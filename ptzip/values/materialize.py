"""The values that `load` gives: numpy's arrays in the place of lazy tensors, arrays and storages.

Rule 1: what is one object stays one; tensors on one storage are views of one array. Rule 2: containers that may contain
themselves are changed where they are; only tuples and frozensets that hold a tensor are made anew.
"""

import mmap
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, UnsupportedError
from ptzip.io.payloads import SourcePayload, unchecked
from ptzip.io.sources import Source, Window
from ptzip.tensors import to_numpy as arrays
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.values import numpy_objects as made
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array, ArrayType, NumpyName, RandomState
from ptzip.values.tensor_names import named_tensors
from ptzip.values.torch_values import Generator, Size
from ptzip.values.value_children import SIMPLE, reachable, referents

Bytes = npt.NDArray[np.uint8]


def settle(root: object, *, keep: bool = False, mapped: bool = False) -> object:
    """The value with numpy's arrays in it.

    A tensor that has no numpy form is an UnsupportedError that names it, or with `keep` stays a lazy `Tensor`. With `mapped`
    the arrays are read-only views of the file where a storage lies in it as it is.
    """
    if not keep:
        _check_forms(root)
    return _Settling(keep, mapped).run(root)


def _check_forms(root: object) -> None:
    """Raise UnsupportedError, with its name, for the first tensor that has no numpy form."""
    for value in reachable(root):
        for tensor in (item for item in (value, *referents(value)) if isinstance(item, Tensor)):
            try:
                arrays.check_form(tensor)
            except UnsupportedError as error:
                names = [name for name, found in named_tensors(root).items() if found is tensor and name]
                raise UnsupportedError(f"{names[0]}: {error}" if names else str(error)) from error


class _Settling:
    def __init__(self, keep: bool, mapped: bool) -> None:
        self.keep = keep
        self.mapped = mapped
        self.done: dict[int, object] = {}
        """What stands for a value, by the identity of that."""
        self.data: dict[int, Bytes] = {}
        """The bytes of storages that are no views, by identity."""
        self.maps: dict[int, mmap.mmap] = {}
        self.kept: list[object] = []
        """Values whose identity is used as a key: they must not go away."""

    def run(self, root: object) -> object:
        order = list(reachable(root))
        self.kept.append(order)
        for value in order:
            self.renew(value)
        for value in order:
            change = CHANGES.get(type(value))
            if change is not None:
                change(self, value)
        return self.of(root)

    def renew(self, value: object) -> None:
        """Make a tuple or a frozenset anew where it holds something that changes; what it holds comes before it."""
        if type(value) is Array:
            self.of(value)
        if not isinstance(value, tuple | frozenset) or isinstance(value, Size):
            return
        items = [_key(self, item) if isinstance(value, frozenset) else self.of(item) for item in value]
        if any(item is not old for item, old in zip(items, value, strict=True)):
            self.done[id(value)] = frozenset(items) if isinstance(value, frozenset) else tuple(items)

    def of(self, value: object) -> object:
        """What stands for a value."""
        if id(value) in self.done:
            return self.done[id(value)]
        make = MADE.get(type(value))
        if make is None:
            return value
        self.kept.append(value)
        self.done[id(value)] = found = make(self, value)
        return found

    def tensor(self, tensor: Tensor) -> object:
        try:
            held = arrays.storage_of(tensor)
            arrays.span(tensor)
            return arrays.array_on(tensor, self.bytes_of(held), 0)
        except UnsupportedError:
            if self.keep:
                return tensor
            raise

    def bytes_of(self, storage: Storage) -> Bytes:
        """All bytes of a storage: those of a view are a part of its base's."""
        if storage.base is not None:
            return self.bytes_of(storage.base)[storage.start : storage.start + storage.size]
        if id(storage) not in self.data:
            self.kept.append(storage)
            found = self.mapped_bytes(storage) if self.mapped else None
            self.data[id(storage)] = arrays.native(storage, 0, storage.size) if found is None else found
        return self.data[id(storage)]

    def mapped_bytes(self, storage: Storage) -> Bytes | None:
        """The bytes where they lie in the file, or None where they are not there as they are."""
        payload = unchecked(storage.checked_payload())
        if (
            not isinstance(payload, SourcePayload)
            or (storage.big_endian and arrays.swapped_unit(storage) > 1)
            or not storage.size
        ):
            return None
        source, offset = _outermost(payload.source, payload.offset)
        if id(source) not in self.maps:
            whole = source.whole()
            if not isinstance(whole, mmap.mmap):
                return None
            self.maps[id(source)] = whole
        return np.frombuffer(self.maps[id(source)], np.uint8, storage.size, offset)

    def storage(self, storage: Storage) -> object:
        return arrays.elements(storage, self.bytes_of(storage))


def _outermost(source: Source, offset: int) -> tuple[Source, int]:
    """The file that a part of it is in, and the place there."""
    while isinstance(source, Window):
        offset += source.offset
        source = source.base
    return source, offset


MADE: dict[type, Callable[[_Settling, Any], object]] = {
    Tensor: _Settling.tensor,
    Storage: _Settling.storage,
    Array: lambda settling, value: _array(settling, value),
    ArrayType: lambda _, value: _dtype(value),
    RandomState: lambda settling, value: _random(settling, value),
    NumpyName: lambda _, value: made.made_name(value),
}
"""What is made of a value, by its type."""


def _array(settling: _Settling, value: Array) -> object:
    try:
        found = made.made(value)
    except FormatError:
        if settling.keep:
            return value
        raise
    if isinstance(value.data, list) and not value.is_scalar:  # objects, which change in their turn
        settling.done[id(value)] = found
        flat = found.reshape(-1)
        for place, item in enumerate(value.data):
            flat[place] = settling.of(item)
    return found


def _random(settling: _Settling, value: RandomState) -> object:
    """A generator takes a copy of its state, so that is given whole: a dict of dicts of arrays and numbers."""
    if isinstance(value.state, dict):
        for held in reachable(value.state):
            if isinstance(held, dict):
                _dict(settling, held)
    return made.made_random(value)


def _dtype(value: ArrayType) -> object:
    try:
        return made.made_type(value)
    except made.MISTAKES as error:
        raise UnsupportedError(f"the numpy dtype {value} cannot be made: {error}") from error


def _list(settling: _Settling, value: list[object]) -> None:
    value[:] = [settling.of(item) for item in value]


def _deque(settling: _Settling, value: deque[object]) -> None:
    items = [settling.of(item) for item in value]
    value.clear()
    value.extend(items)


def _set(settling: _Settling, value: set[object]) -> None:
    """Arrays cannot be in a set: tensors stay in it as they are."""
    items = [_key(settling, item) for item in value]
    value.clear()
    value.update(items)


def _dict(settling: _Settling, value: dict[object, object]) -> None:
    """Keys that are tensors stay what they are; others and all values change."""
    pairs = [(_key(settling, key), settling.of(item)) for key, item in value.items()]
    if any(key is not old for (key, _), old in zip(pairs, value, strict=True)):
        value.clear()
    for key, item in pairs:  # one by one: some dicts keep accounts of their own
        value[key] = item  # noqa: PERF403
    if isinstance(value, OrderedDict | Counter):
        _attributes(settling, value)


def _key(settling: _Settling, value: object) -> object:
    found = settling.of(value) if not isinstance(value, Tensor | Storage) else value
    try:
        hash(found)
    except TypeError:
        return value
    return found


def _attributes(settling: _Settling, value: Any) -> None:
    for name, item in list(value.__dict__.items()):
        value.__dict__[name] = settling.of(item)


def _opaque(settling: _Settling, value: Opaque) -> None:
    if value.args is not None:
        value.args = tuple(settling.of(item) for item in value.args)
    value.kwargs = {name: settling.of(item) for name, item in value.kwargs.items()}
    value.state = settling.of(value.state)
    _list(settling, value.items)
    value.pairs[:] = [(_key(settling, key), settling.of(item)) for key, item in value.pairs]


def _generator(settling: _Settling, value: Generator) -> None:
    value.state = settling.of(value.state)


CHANGES: dict[type, Callable[[_Settling, Any], None]] = {
    list: _list,
    deque: _deque,
    set: _set,
    **dict.fromkeys((dict, OrderedDict, defaultdict, Counter), _dict),
    Opaque: _opaque,
    Generator: _generator,
    **dict.fromkeys(SIMPLE, _attributes),
}
"""How a container changes where it is."""
