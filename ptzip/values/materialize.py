"""The object in a file as `load` returns it: numpy arrays in place of lazy tensors, arrays and storages.

One object stays one object, and tensors on one storage are views of one array. Containers are changed in place, since they may
contain themselves; only tuples and frozensets are replaced, and only where something in them is.
"""

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.bare import JOBLIB
from ptzip.formats.container import Container
from ptzip.io.payloads import SourcePayload, unchecked
from ptzip.io.sources import DescriptorSource, Source, Window
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors import to_numpy
from ptzip.tensors.index_checks import IndexChecks
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.numpy_objects import to_array, to_class, to_dtype, to_random
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray, NumpyClass, NumpyDtype, NumpyRandom
from ptzip.values.tensor_names import arrays_of, named_tensors
from ptzip.values.torch_values import Generator, Size
from ptzip.values.value_children import SIMPLE, reachable, referents

if TYPE_CHECKING:
    import mmap

Bytes = npt.NDArray[np.uint8]

LAZY = frozenset({Tensor, Storage, NumpyArray, NumpyDtype, NumpyRandom, NumpyClass})
"""The types whose values are replaced."""


def loaded(container: Container, *, unknown: str, mapped: bool, limits: Limits) -> object:
    """The object of the first pickle, as torch.load returns it; of safetensors and npz a dict of arrays.

    Raises UnsupportedError where the file has no object, or one with something in it that is not rebuilt.
    """
    arrays = arrays_of(container)
    if container.name == JOBLIB:
        raise UnsupportedError("this is a joblib file, whose arrays only joblib.load reads")
    if arrays is None and not container.parts:
        raise UnsupportedError(f"this is a {container.name}, which has no pickle of its own")
    value = build(container.parts[0], unknown=unknown, limits=limits) if arrays is None else arrays
    return materialize(value, keep=unknown == "keep", mapped=mapped, most=limits.paths)


def materialize(root: object, *, keep: bool = False, mapped: bool = False, most: int = DEFAULT_LIMITS.paths) -> object:
    """The value with numpy arrays in it.

    A tensor that numpy cannot represent is an UnsupportedError that names it, or with `keep` stays a lazy `Tensor`. With
    `mapped` the arrays are read-only views of the file where a storage is stored as it is.
    """
    if not keep:
        _check_forms(root, most)
    return _Materializer(keep, mapped).run(root)


def _check_forms(root: object, most: int) -> None:
    """Raise UnsupportedError, with its name, for the first tensor that numpy cannot represent."""
    for value in reachable(root):
        for tensor in (item for item in (value, *referents(value)) if isinstance(item, Tensor)):
            try:
                to_numpy.check_form(tensor)
            except UnsupportedError as error:
                names = [name for name, found in named_tensors(root, most).items() if found is tensor and name]
                raise UnsupportedError(f"{names[0]}: {error}" if names else str(error)) from error


class _Materializer:
    def __init__(self, keep: bool, mapped: bool) -> None:
        self.keep = keep
        self.mapped = mapped
        self.replaced: dict[int, object] = {}
        """What replaces a value, by the identity of the value."""
        self.data: dict[int, Bytes] = {}
        """The bytes of storages that are not views, by identity."""
        self.maps: dict[int, mmap.mmap] = {}
        self.indices = IndexChecks()
        self.kept: list[object] = []
        """Values whose identity is a key: they must not be freed."""

    def run(self, root: object) -> object:
        order = list(reachable(root))
        self.kept.append(order)
        for value in order:
            self.replace(value)
        for value in order:
            self.fill(value)
        return self.of(root)

    def replace(self, value: object) -> None:
        """Replace a tuple or a frozenset if something in it is replaced, which came before it; start arrays of objects."""
        if type(value) is NumpyArray:
            self.of(value)
        if not isinstance(value, tuple | frozenset) or isinstance(value, Size):
            return
        items = [self.key(item) if isinstance(value, frozenset) else self.of(item) for item in value]
        if any(item is not old for item, old in zip(items, value, strict=True)):
            self.replaced[id(value)] = frozenset(items) if isinstance(value, frozenset) else tuple(items)

    def of(self, value: object) -> object:
        """What a value is after materializing: what replaces it, or itself."""
        if id(value) in self.replaced:
            return self.replaced[id(value)]
        if type(value) not in LAZY:
            return value
        self.kept.append(value)
        self.replaced[id(value)] = found = self.converted(value)
        return found

    def key(self, value: object) -> object:
        """The same of a key or an item of a set; tensors, whose arrays have no hash, stay what they are."""
        found = value if isinstance(value, Tensor | Storage) else self.of(value)
        try:
            hash(found)
        except TypeError:
            return value
        return found

    def converted(self, value: object) -> object:
        match value:
            case Tensor():
                return self.tensor(value)
            case Storage():
                return to_numpy.elements(value, self.bytes_of(value))
            case NumpyArray():
                return self.array(value)
            case NumpyDtype():
                return to_dtype(value)
            case NumpyRandom():
                return self.random(value)
            case NumpyClass():
                return to_class(value)
        return value

    def tensor(self, tensor: Tensor) -> object:
        if tensor.components:
            self.indices.check(tensor)
        try:
            storage = to_numpy.storage_of(tensor)
            to_numpy.span(tensor)
            return to_numpy.array_on(tensor, self.bytes_of(storage), 0)
        except UnsupportedError:
            if self.keep:
                return tensor
            raise

    def bytes_of(self, storage: Storage) -> Bytes:
        """All bytes of a storage; those of a view are a part of its base's."""
        if storage.base is not None:
            return self.bytes_of(storage.base)[storage.start : storage.start + storage.size]
        if id(storage) not in self.data:
            self.kept.append(storage)
            found = self.mapped_bytes(storage) if self.mapped else None
            self.data[id(storage)] = to_numpy.native(storage, 0, storage.size) if found is None else found
        return self.data[id(storage)]

    def mapped_bytes(self, storage: Storage) -> Bytes | None:
        """The bytes as a part of the mapped file, or None where they are not in it as they are."""
        payload = unchecked(storage.checked_payload())
        is_swapped = storage.big_endian and to_numpy.swapped_unit(storage) > 1
        if not isinstance(payload, SourcePayload) or is_swapped or not storage.size:
            return None
        source, offset = _outermost(payload.source, payload.offset)
        if id(source) not in self.maps:
            if not isinstance(source, DescriptorSource):
                return None
            self.maps[id(source)] = source.mapped()
        return np.frombuffer(self.maps[id(source)], np.uint8, storage.size, offset)

    def array(self, value: NumpyArray) -> object:
        try:
            found = to_array(value)
        except FormatError:
            if self.keep:
                return value
            raise
        if isinstance(value.data, list) and not value.is_scalar:  # objects, which may contain the array itself
            self.replaced[id(value)] = found
            flat = found.reshape(-1)
            for index, item in enumerate(value.data):
                flat[index] = self.of(item)
        return found

    def random(self, value: NumpyRandom) -> object:
        """A generator copies its state, so the state is completed first: a dict of dicts of arrays and numbers."""
        if isinstance(value.state, dict):
            for part in reachable(value.state):
                if isinstance(part, dict):
                    self.fill(part)
        return to_random(value)

    def fill(self, value: Any) -> None:
        """Replace what is in a container, in place."""
        match value:
            case dict():
                self.fill_dict(value)
            case list():
                value[:] = [self.of(item) for item in value]
            case set():
                items = [self.key(item) for item in value]
                value.clear()
                value.update(items)
            case deque():
                items = [self.of(item) for item in value]
                value.clear()
                value.extend(items)
            case Opaque():
                value.args = None if value.args is None else tuple(self.of(item) for item in value.args)
                value.kwargs = {name: self.of(item) for name, item in value.kwargs.items()}
                value.state = self.of(value.state)
                value.items[:] = [self.of(item) for item in value.items]
                value.pairs[:] = [(self.key(key), self.of(item)) for key, item in value.pairs]
            case Generator():
                value.state = self.of(value.state)
        if isinstance(value, (OrderedDict, Counter, *SIMPLE)):
            for name, item in list(value.__dict__.items()):
                value.__dict__[name] = self.of(item)

    def fill_dict(self, value: dict[object, object]) -> None:
        pairs = [(self.key(key), self.of(item)) for key, item in value.items()]
        if any(key is not old for (key, _), old in zip(pairs, value, strict=True)):
            value.clear()
        for key, item in pairs:  # one by one: an OrderedDict must see each
            value[key] = item  # noqa: PERF403


def _outermost(source: Source, offset: int) -> tuple[Source, int]:
    """The file that a window is in, and the offset in that file."""
    while isinstance(source, Window):
        offset += source.offset
        source = source.base
    return source, offset
