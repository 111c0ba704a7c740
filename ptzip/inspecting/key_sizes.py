"""Which top-level key the bytes of a file belong to, and the tensors below each key.

A storage, and a tensor, counts once, for the first key that has it; the pickle is divided at the opcodes of the keys. One pass
over the tree finds all of it, since the summary of a large file should appear at once.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import PtzipError, beyond
from ptzip.formats.container import Part
from ptzip.pickling import nodes
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, pairs, plain
from ptzip.tensors import references
from ptzip.tensors.strides import element_range
from ptzip.tensors.torch_names import PARAMETERS, VIEWS
from ptzip.tree.children import NodeChild, each_child, keyed_children, node_children
from ptzip.tree.kinds import ARRAY, is_tensor, kind
from ptzip.tree.modules import is_module

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor


class TensorFacts(NamedTuple):
    """A tensor below a top-level key, sizes in bytes.

    `storage` identifies the storage and `stored` is its length; the tensor uses the bytes from `first` up to `last`.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    numel: int
    size: int
    is_parameter: bool
    storage: str | int | None
    stored: int
    first: int
    last: int


class KeySize(NamedTuple):
    """The bytes of one key: those of its storages, and of its part of the pickle.

    `below` counts its children; `value` is that of a number or text. `has_module`: there is an `nn.Module` anywhere below.
    """

    key: str
    kind: str
    value: object
    below: int
    storages: int
    pickle: int
    has_module: bool = False

    @property
    def size(self) -> int:
        return self.storages + self.pickle


class StorageSizes(dict[str, int]):
    """The bytes of the storages of a part by key, looked up on first access; 0 where a storage is missing."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def __missing__(self, key: str) -> int:
        try:
            size = self.part.stored(key).length
        except PtzipError:
            size = 0
        self[key] = size
        return size


class Holdings(NamedTuple):
    """The keys of an object and its tensors."""

    keys: tuple[KeySize, ...]
    tensors: tuple[TensorFacts, ...]

    def joined(self, others: "Iterable[Holdings]") -> "Holdings":
        """Those of several pickles."""
        found = [self, *others]
        return Holdings(tuple(key for one in found for key in one.keys), tuple(one for held in found for one in held.tensors))


NOTHING = Holdings((), ())


def holdings(part: Part, sizes: Mapping[str, int]) -> Holdings:
    """The keys of a dict, or the object as a whole where it is not a dict; of the tensors only the strided ones."""
    root = part.root
    found = [] if is_tensor(root) else [child for child in keyed_children(root) if child.slot]
    if not found and isinstance(root, Call) and root.path == "collections.OrderedDict":  # built from a list of pairs
        found = [child for child in node_children(root) if child.slot]
    if len(found) > part.pickle.limits.paths:
        raise beyond("paths", part.pickle.limits.paths, f"the object has {len(found):,} keys, above")
    found = found or [NodeChild("", root)]
    one_pass = _KeyPass(part, sizes)
    spelled = chain((key for key, _ in pairs(root)), repeat(None))
    keys = [one_pass.key_size(child, key) for child, key in zip(found, spelled, strict=False)]
    pickled = _pickled_sizes(part, one_pass.starts)
    sized = tuple(key._replace(pickle=size) for key, size in zip(keys, pickled, strict=True))
    return Holdings(sized, tuple(one_pass.tensors))


def of_further(parts: Iterable[Part]) -> Iterator[Holdings]:
    """Each pickle after the first as one key by its name, if it has storages that those before it do not have: in an archive
    of the lite interpreter, two have the same."""
    known = set[object]()
    for number, part in enumerate(parts):
        own = {one for key in part.storages if (one := _stored_at(part, key)) is not None}
        if number and part.pickle.root is not None and own - known:
            yield _as_one_key(part)
        known |= own


def _stored_at(part: Part, key: str) -> object:
    """What two storages have in common that are the same bytes; None for one that is missing."""
    try:
        return part.stored(key).base
    except PtzipError:
        return None


def _as_one_key(part: Part) -> Holdings:
    found, name = holdings(part, StorageSizes(part)), part.name.removeprefix("record ")
    storages, pickled = sum(key.storages for key in found.keys), sum(key.pickle for key in found.keys)
    has_module = any(key.has_module for key in found.keys)
    row = KeySize(name, kind(part.root), None, len(node_children(part.root)), storages, pickled, has_module)
    return Holdings((row,), tuple(one._replace(key=name, storage=f"{name} {one.storage}") for one in found.tensors))


class _KeyPass:
    """One pass over a tree, key by key; `seen` are the nodes, and `counted` the storages, that earlier keys have."""

    def __init__(self, part: Part, sizes: Mapping[str, int]) -> None:
        self.part = part
        self.sizes = sizes
        self.seen: set[int] = set()
        self.counted: set[str] = set()
        self.tensors: list[TensorFacts] = []
        self.storage_keys = {id(one.node): storage.key for storage in part.storages.values() for one in storage.references}
        """The keys of the storages by the nodes that refer to them."""
        self.parameters: set[int] = set()
        """The tensors inside parameters, which are met before them."""
        self.starts: list[int] = []
        """The offset in the pickle where each key begins, or its value where the key is fetched from the memo."""

    def key_size(self, child: NodeChild, key: Node | None) -> KeySize:
        """All about a key but its bytes in the pickle, which end where the next key begins."""
        node, name = child.value, child.part or ""
        size, has_module = 0, is_module(node)
        is_fetched = key is None or id(key) in self.seen
        start = self.part.pickle.end if is_fetched or key is None else key.offset
        for below in nodes.walk_unordered(node, self.seen):
            if is_fetched and below.offset < start:
                start = below.offset
            if isinstance(below, Persistent):
                size += self.storage_size(below)
            elif isinstance(below, Call):
                self.add_tensor(below, name)
                has_module = has_module or (bool(below.steps) and below.steps[-1].op == "BUILD" and is_module(below))
        self.starts.append(start)
        self.seen.add(id(key))
        value = node.value if isinstance(node, Atom) else None
        word = node.path if isinstance(node, Global) else kind(node)
        count = 0 if is_tensor(node) or word.startswith(ARRAY) else sum(1 for _ in each_child(node))
        return KeySize(name, word, value, count, size, 0, has_module)

    def storage_size(self, node: Persistent) -> int:
        """The bytes of a storage that was not counted yet."""
        key = self.storage_keys.get(id(node)) or _storage_of_tar(node, self.part)
        if key is None or key in self.counted:
            return 0
        self.counted.add(key)
        return self.sizes[key]

    def add_tensor(self, node: Call, key: str) -> None:
        path = node.path
        if path in PARAMETERS and node.arguments:
            self.parameters.add(id(plain(node.arguments[0])))
        tensor = references.tensor_ref(node) if path in VIEWS else None
        if tensor is not None:
            storage = self.part.storages[tensor.storage.key]
            dtype, item, numel = storage.dtype.name, storage.dtype.size, math.prod(tensor.shape)
            first, last = tensor.span
            where = (storage.key, self.sizes[storage.key], first * item, last * item)
            is_parameter = id(node) in self.parameters
            self.tensors.append(TensorFacts(key, dtype, tensor.shape, numel, numel * item, is_parameter, *where))


def all_tensor_facts(tensors: "Mapping[str, Tensor]", keys: Mapping[str, object]) -> tuple[TensorFacts, ...]:
    """All tensors of a checkpoint, of any layout, by their names."""
    found: dict[int, TensorFacts] = {}
    for name, tensor in tensors.items():
        if id(tensor) not in found:
            found[id(tensor)] = _facts(_key_of(name, keys), tensor)
    return tuple(found.values())


def _facts(key: str, tensor: "Tensor") -> TensorFacts:
    is_strided = len(tensor.stride) == len(tensor.shape)
    first, last = element_range(tensor.offset, tensor.shape, tensor.stride) if is_strided else (0, 0)
    is_parameter = tensor.class_path.rpartition(".")[2] == "Parameter"
    storage = tensor.storage if is_strided else None
    where = (id(storage), storage.size, first * tensor.itemsize, last * tensor.itemsize) if storage else (None, 0, 0, 0)
    return TensorFacts(key, tensor.dtype, tensor.shape, tensor.numel, tensor.nbytes, is_parameter, *where)


def _key_of(name: str, keys: Mapping[str, object]) -> str:
    """The top-level key that a tensor's name begins with, or "" where there is none."""
    end = len(name)
    while end >= 0:
        if name[:end] in keys:
            return name[:end]
        end = name.rfind(".", 0, end)
    return ""


def _storage_of_tar(node: Persistent, part: Part) -> str | None:
    """The storage of the tensor that a persistent id of a tar names; None for any other id."""
    name = node.id
    tensor = part.tensors.get(str(name.value)) if isinstance(name, Atom) else None
    return tensor.storage if tensor else None


def _pickled_sizes(part: Part, starts: list[int]) -> Iterable[int]:
    """The bytes of the pickle for each key; one that is fetched from the memo with its value has none of its own."""
    end, sizes = part.pickle.end, list[int]()
    for start in reversed(starts[1:]):
        sizes.append(end - min(start, end))
        end = min(start, end)
    first = starts[0] if len(starts) > 1 else part.pickle.start
    return [end - min(first, end), *reversed(sizes)]
