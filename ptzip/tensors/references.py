"""What torch means by persistent ids and rebuild calls.

A storage is a persistent id `("storage", class, key, location, numel)` (`torch/serialization.py`, `persistent_id`); many
ids can have one key. A tensor is a call of a rebuild function (`torch/_utils.py`) on such an id; a parameter is a call around
a tensor. A tensor with attributes is a call of `_rebuild_from_type_v2`, which is given the function, the class, the arguments
and the attributes (`torch/_tensor.py`): where the class is torch's own, it is a tensor like any other. Anything that does not
have exactly this form is not a tensor here, and stays as it is.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, Slot, Tuple, pairs, plain, text
from ptzip.tensors.dtypes import DType
from ptzip.tensors.strides import element_range, is_countable
from ptzip.tensors.torch_names import PARAMETERS, PLAIN_CLASSES, STORAGE_CLASSES, SUBCLASSES, TYPED, VIEWS

STORAGE_ITEMS = 5
CLASS, KEY, LOCATION, NUMEL = 1, 2, 3, 4
"""Indices in a storage's persistent id."""

FUNCTION, TENSOR_CLASS, ARGUMENTS = 0, 1, 2
"""Indices in the arguments of `_rebuild_from_type_v2`."""

OFFSET, SHAPE, STRIDE, HOOKS, TYPED_DTYPE = 1, 2, 3, 5, 6
"""Indices in the arguments of `_rebuild_tensor_v2`; the hooks are those of the backward pass, the dtype is that of `_v3`."""

MARKS, TYPED_MARKS = 6, 7
"""Indices of the marks of a tensor whose values are still to be conjugated or negated, in those of `_v2` and `_v3`."""

TENSOR, REQUIRES_GRAD = 0, 1
"""Indices in the arguments of a parameter."""

MOST_DIMENSIONS = 64
"""The most dimensions of a tensor or an array (`c10::kDimVectorStaticSize`, `NPY_MAXDIMS`: operators refuse more)."""


class StorageRef(NamedTuple):
    """One reference to a storage; `numel` counts elements of `dtype`."""

    node: Persistent
    dtype: DType
    key: str
    location: str
    numel: int
    view: tuple[str, int, int] | None = None
    """A part of the storage under a key of its own, as (key, offset, numel), in legacy streams of torch 0.x."""

    @property
    def id_parts(self) -> list[Node]:
        """The nodes of the id itself, to be edited."""
        return self.node.id.parts

    @property
    def size(self) -> int:
        """The length of the storage in bytes."""
        return self.numel * self.dtype.size


class StorageRefs(NamedTuple):
    """A storage: all references to one key. torch takes the dtype of the first (`_load_tensor` keeps what it has)."""

    key: str
    dtype: DType
    size: int
    references: list[StorageRef]


class TensorRef(NamedTuple):
    """A strided tensor: `offset`, `shape` and `stride` count elements; `arguments` are those of the function that rebuilds it,
    to be edited."""

    node: Call
    arguments: list[Node]
    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def span(self) -> tuple[int, int]:
        """The elements of the storage from the first to behind the last that the tensor uses."""
        return element_range(self.offset, self.shape, self.stride)


def storage_ref(node: Node) -> StorageRef | None:
    """The storage that a persistent id names, or None; raises FormatError where its class is unknown."""
    if not isinstance(node, Persistent) or not node.parts or not isinstance(node.id, Tuple):
        return None
    items = [plain(part) for part in node.id.parts[: STORAGE_ITEMS + 1]]
    if len(items) < STORAGE_ITEMS or text(items[0]) != "storage":
        return None
    key, location, numel = _key(items[KEY]), text(items[LOCATION]), _integer(items[NUMEL])
    kind = items[CLASS]
    if key is None or location is None or numel is None or numel < 0 or not isinstance(kind, Global):
        return None
    if kind.path not in STORAGE_CLASSES:
        raise FormatError(f"storage {key} is of class {kind.path}, which is no storage class of torch", node.offset)
    return StorageRef(node, STORAGE_CLASSES[kind.path], key, location, numel, _view(items[STORAGE_ITEMS:]))


def class_ref(node: Node) -> Global | None:
    """The class that a persistent id names: ("module", class, file, source), in a tar (class, file, source)."""
    parts = node.id.parts if isinstance(node, Persistent) and isinstance(node.id, Tuple) else []
    items = [plain(part) for part in parts] if len(parts) <= 4 else []
    if len(items) == 4 and text(items[0]) == "module":
        items = items[1:]
    return items[0] if len(items) == 3 and isinstance(items[0], Global) else None


def _view(more: list[Node]) -> tuple[str, int, int] | None:
    """The view metadata of a legacy id: None, or (key, offset, numel)."""
    if not more or not isinstance(more[0], Tuple) or len(more[0].parts) != 3:
        return None
    key, start, length = (plain(part) for part in more[0].parts)
    offset, numel = _integer(start), _integer(length)
    return None if offset is None or numel is None else (_key(key) or "", offset, numel)


def _key(node: Node) -> str | None:
    """A storage key is text, in a torch.package a number."""
    number = _integer(node)
    return text(node) if number is None else str(number)


def storage_refs(nodes: Iterable[Node]) -> dict[str, StorageRefs]:
    """The storages that some nodes refer to, by key, in order of first appearance."""
    found: dict[str, StorageRefs] = {}
    for node in nodes:
        reference = storage_ref(node)
        if reference:
            storage = found.setdefault(reference.key, StorageRefs(reference.key, reference.dtype, reference.size, []))
            storage.references.append(reference)
    return found


def tensor_ref(node: Node) -> TensorRef | None:
    """The strided tensor that a call rebuilds: `_rebuild_tensor`, `_rebuild_tensor_v2`; None for anything else."""
    path, given = rebuilt_by(node)
    if path not in VIEWS or len(given) < VIEWS[path]:
        return None
    arguments = [plain(part) for part in given]
    storage, offset = storage_ref(arguments[0]), _integer(arguments[1])
    shape, stride = _integers(arguments[2]), _integers(arguments[3])
    if storage is None or offset is None or shape is None or stride is None or len(shape) != len(stride):
        return None
    if min((offset, *shape, *stride)) < 0 or not is_countable(*shape):
        return None
    return TensorRef(node, given, storage, offset, shape, stride) if isinstance(node, Call) else None


def shape_of(arguments: list[Node]) -> tuple[int, ...] | None:
    """The shape among the arguments of a function that rebuilds a tensor on a storage."""
    return _integers(plain(arguments[SHAPE])) if len(arguments) > SHAPE else None


def rebuilt_by(node: Node) -> tuple[str, list[Node]]:
    """The function that a call of torch's rebuilds a tensor by, and its arguments; "" for what is no call.

    The function is the inner one of a tensor with attributes, unless the class of the tensor is not torch's own.
    """
    if not isinstance(node, Call):
        return "", []
    path, arguments = node.path, node.arguments
    if path not in SUBCLASSES or len(arguments) <= ARGUMENTS:
        return path, arguments
    function, kind, inner = map(plain, arguments[: ARGUMENTS + 1])
    is_plain = isinstance(kind, Global) and kind.path in PLAIN_CLASSES
    if not is_plain or not isinstance(function, Global) or not isinstance(inner, Tuple):
        return path, arguments
    return function.path, inner.parts


def parameter_arguments(node: Node) -> list[Node]:
    """The arguments of the call that rebuilds a parameter: tensor, requires_grad, …; empty for any other node.

    torch up to 0.4 calls the class itself.
    """
    path, arguments = rebuilt_by(node)
    return arguments if path in PARAMETERS else []


def tensor_slot(slot: Slot) -> Slot:
    """The slot of the tensor itself: inside the call, where `slot` has a parameter."""
    arguments = parameter_arguments(slot.node)
    return Slot(arguments, TENSOR) if arguments else slot


def tensor_ref_on(of: TensorRef, storage: Persistent, offset: int, strides: Node | None = None) -> Call:
    """A new tensor of the same shape and attributes on another storage, with a hooks dict of its own."""
    arguments = list(of.arguments)
    hooks = Call("REDUCE", None, [named("collections", "OrderedDict"), Tuple("EMPTY_TUPLE")])
    arguments[0], arguments[OFFSET] = storage, atom(offset)
    if strides is not None:
        arguments[STRIDE] = strides
    if len(arguments) > HOOKS:
        arguments[HOOKS] = hooks
    outer, inner = of.node.arguments, Tuple("TUPLE", None, arguments)
    has_attributes = outer is not of.arguments
    given = Tuple("TUPLE", None, [*outer[:ARGUMENTS], inner, *outer[ARGUMENTS + 1 :]]) if has_attributes else inner
    return Call("REDUCE", None, [of.node.parts[0], given])


_SMALL = frozenset(("BININT1", "BININT2", "BININT"))
"""The opcodes of nearly all sizes and strides, whose argument is the number."""


def _integer(node: Node) -> int | None:
    if node.op in _SMALL:
        return int(node.arg)
    value = node.value if isinstance(node, Atom) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and is_countable(value) else None


def _integers(node: Node) -> tuple[int, ...] | None:
    """The items of a tuple of integers, also where it is a `torch.Size`."""
    if isinstance(node, Call) and node.path == "torch.Size" and node.arguments:
        node = plain(node.arguments[0])
    if not isinstance(node, Tuple) or len(node.parts) > MOST_DIMENSIONS:
        return None
    values = [value for part in map(plain, node.parts) if (value := _integer(part)) is not None]
    return tuple(values) if len(values) == len(node.parts) else None


class PlainTensor(NamedTuple):
    """A strided tensor of any dtype: `offset`, `shape` and `stride` count its elements."""

    dtype: str
    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def plain_tensor(node: Node) -> PlainTensor | None:
    """The same as `tensor_ref`, also for what `_rebuild_tensor_v3` rebuilds: dtypes without a storage class of their own.

    None for a tensor with marks: its values are not those that are stored.
    """
    found = tensor_ref(node)
    if found is not None:
        known = PlainTensor(found.storage.dtype.name, found.storage, found.offset, found.shape, found.stride)
        return None if _has_marks(found.arguments[MARKS:]) else known
    path, given = rebuilt_by(node)
    if path != TYPED or len(given) <= TYPED_DTYPE:
        return None
    arguments = [plain(part) for part in given]
    storage, offset, kind = storage_ref(arguments[0]), _integer(arguments[OFFSET]), arguments[TYPED_DTYPE]
    shape, stride = _integers(arguments[SHAPE]), _integers(arguments[STRIDE])
    if storage is None or offset is None or shape is None or stride is None or not isinstance(kind, Global):
        return None
    if _has_marks(arguments[TYPED_MARKS:]):
        return None
    return PlainTensor(kind.name, storage, offset, shape, stride)


def _has_marks(more: list[Node]) -> bool:
    return any(True for node in more[:1] for _ in pairs(plain(node)))
