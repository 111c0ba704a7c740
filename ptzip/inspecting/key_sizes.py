"""Where the bytes of a file go: to which top-level key, and what tensors are there.

Rule: a storage, and a tensor, counts once, for the first key that holds it; a pickle counts from one key's opcode to the
next key's. One pass over the tree does it all, since whoever looks at a file does not want to wait.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import PtzipError
from ptzip.formats.container import Part
from ptzip.inspecting.node_paths import Child, children, is_tensor, kind, label
from ptzip.pickling import nodes
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, pairs, plain
from ptzip.tensors import references
from ptzip.tensors.strides import element_range
from ptzip.tensors.torch_names import PARAMETERS, VIEWS
from ptzip.tree.modules import is_module

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor


class Seen(NamedTuple):
    """A tensor below a top-level key, sizes in bytes.

    `storage` tells storages apart and `stored` is the length of its own; `first` and `last` are the bytes that it reaches over.
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


class Share(NamedTuple):
    """What one key takes, in bytes: its storages, and its stretch of the pickle.

    `below` is how many things are below it; `value` is there where it holds a number or a text. `has_module` says whether a
    pickled `nn.Module` is anywhere below.
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


class Sizes(dict[str, int]):
    """The bytes of the storages of a part by key, found when first asked for; 0 where a storage is missing."""

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

    shares: tuple[Share, ...]
    tensors: tuple[Seen, ...]


NOTHING = Holdings((), ())


def holdings(part: Part, sizes: Mapping[str, int]) -> Holdings:
    """What the keys of a dict hold, or the object as a whole where it is no dict; of the tensors, those that are strided."""
    root = part.root
    found = _keys(root) or [Child("", root)]
    stretches = _stretches(part, root, len(found))
    look = _Look(part, sizes)
    shares = tuple(look.share(child, stretch) for child, stretch in zip(found, stretches, strict=True))
    return Holdings(shares, tuple(look.tensors))


def _keys(root: Node) -> list[Child]:
    """The keys of a dict, or of an OrderedDict that was made from a list of pairs; none where the object is neither."""
    if is_tensor(root):
        return []
    found = [Child(label(key), value) for key, value in pairs(root)]
    is_made = not found and isinstance(root, Call) and root.path == "collections.OrderedDict"
    return list(children(root)) if is_made else found


class _Look:
    """One pass over a tree."""

    def __init__(self, part: Part, sizes: Mapping[str, int]) -> None:
        self.part = part
        self.sizes = sizes
        self.seen: set[int] = set()
        self.counted: set[str] = set()
        self.tensors: list[Seen] = []
        self.known = {id(one.node): storage.key for storage in part.storages.values() for one in storage.ids}
        """The keys of the storages by the nodes that refer to them."""
        self.parameters: set[int] = set()
        """The tensors that are inside a parameter, which is met before them."""

    def share(self, child: Child, pickle: int) -> Share:
        node = child.node
        size, has_module = 0, is_module(node)
        for below in nodes.reach(node, self.seen):
            if isinstance(below, Persistent):
                size += self.stored(below)
            elif isinstance(below, Call):
                self.call(below, child.name)
                has_module = has_module or (bool(below.steps) and below.steps[-1].op == "BUILD" and is_module(below))
        value = node.value if isinstance(node, Atom) else None
        count = 0 if isinstance(node, Atom) else sum(1 for _ in children(node))
        called = node.path if isinstance(node, Global) else kind(node)
        return Share(child.name, called, value, count, size, pickle, has_module)

    def stored(self, node: Persistent) -> int:
        """The bytes of a storage that was not counted yet."""
        key = self.known.get(id(node)) or named_storage(node, self.part)
        if key is None or key in self.counted:
            return 0
        self.counted.add(key)
        return self.sizes[key]

    def call(self, node: Call, key: str) -> None:
        path = node.path
        if path in PARAMETERS and node.arguments:
            self.parameters.add(id(plain(node.arguments[0])))
        tensor = references.tensor_ref(node) if path in VIEWS else None
        if tensor is not None:
            self.tensors.append(self.seen_tensor(key, tensor, id(node) in self.parameters))

    def seen_tensor(self, key: str, tensor: references.TensorRef, is_parameter: bool) -> Seen:
        storage = self.part.storages[tensor.storage.key]
        dtype, item, numel = storage.dtype.name, storage.dtype.size, math.prod(tensor.shape)
        first, last = tensor.span
        where = (storage.key, self.sizes[storage.key], first * item, last * item)
        return Seen(key, dtype, tensor.shape, numel, numel * item, is_parameter, *where)


def all_seen(tensors: "Mapping[str, Tensor]", keys: Mapping[str, object]) -> tuple[Seen, ...]:
    """All tensors of a checkpoint, of whatever kind, by the names they have."""
    found: dict[int, Seen] = {}
    for name, tensor in tensors.items():
        if id(tensor) not in found:
            found[id(tensor)] = _any_seen(_key_of(name, keys), tensor)
    return tuple(found.values())


def _any_seen(key: str, tensor: "Tensor") -> Seen:
    is_told = len(tensor.stride) == len(tensor.shape)
    first, last = element_range(tensor.offset, tensor.shape, tensor.stride) if is_told else (0, 0)
    is_parameter = tensor.class_path.rpartition(".")[2] == "Parameter"
    storage = tensor.storage if is_told else None
    where = (id(storage), storage.size, first * tensor.itemsize, last * tensor.itemsize) if storage else (None, 0, 0, 0)
    return Seen(key, tensor.dtype, tensor.shape, tensor.numel, tensor.nbytes, is_parameter, *where)


def _key_of(name: str, keys: Mapping[str, object]) -> str:
    """The top-level key that a tensor's name begins with, or "" where there is none."""
    place = len(name)
    while place >= 0:
        if name[:place] in keys:
            return name[:place]
        place = name.rfind(".", 0, place)
    return ""


def named_storage(node: Persistent, part: Part) -> str | None:
    """The storage of a tensor that a persistent id names, as in a tar; None for any other id."""
    name = node.id
    tensor = part.tensors.get(str(name.value)) if isinstance(name, Atom) else None
    return tensor.storage if tensor else None


def _stretches(part: Part, root: Node, count: int) -> Iterable[int]:
    """How many bytes of the pickle each key takes; a key that was spelled before takes none of its own."""
    starts = [key.offset for key, _ in pairs(root)]
    starts += [-1] * (count - len(starts))
    end, sizes = part.pickle.end, list[int]()
    for start in reversed(starts):
        is_own = part.pickle.start <= start < end
        sizes.append(end - start if is_own else 0)
        end = start if is_own else end
    return reversed(sizes) if len(sizes) > 1 or any(sizes) else [part.pickle.end - part.pickle.start]
