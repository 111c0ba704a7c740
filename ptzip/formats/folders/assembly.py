"""The object of a folder: one pickle, as torch.save would write it of the whole, and storages that are assembled when read.

What a kind of folder adds: tensors made of pieces (`tensor`), objects and tensors as files of the folder have them (`graft`),
and dicts and lists of those (`Tree`).
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Member, Part, stored_in
from ptzip.formats.folders.pieces import Assembled, Piece, check_coverage
from ptzip.formats.torchzip import fresh_records
from ptzip.io.folders import FolderSource
from ptzip.io.payloads import BytesPayload, CheckedPayload, Payload
from ptzip.limits import Limits
from ptzip.pickling.new_nodes import atom, memoized, new_dict, new_list
from ptzip.pickling.nodes import PUTS, Node, Persistent, Pickle, walk
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.dtypes import BY_NAME, PACKED
from ptzip.tensors.new_tensors import counted_in, location_nodes, strided
from ptzip.tensors.references import KEY, MOST_DIMENSIONS, storage_ref
from ptzip.tensors.strides import contiguous, is_countable
from ptzip.zip.writer import ALIGNMENT, Record

PROTOCOL = 2
"""What `torch.save` writes by default."""

Key = str | int
"""A string is a key of a dict, an integer the index of an item of a list."""

MOST_ITEMS = 1 << 20
"""The items of all lists that paths make: one index says how long a list is."""


class Fact(NamedTuple):
    """Something to know of a folder, in words, such as ("processes", "8")."""

    name: str
    value: str


class Role(StrEnum):
    """What bytes are for that are not in the object, as reports say it."""

    TRAINING = "only training needs it"
    COPY = "the same weights once more"
    OTHER = "not part of the checkpoint"


class Unread(NamedTuple):
    """Bytes of a folder that are not in its object: those of a file, or of a kind of values in several files."""

    name: str
    size: int
    role: Role


class Folder:
    """A folder of a kind, as the one file that the framework's own consolidator would write."""

    refusal = ""
    alignment = ALIGNMENT

    def __init__(
        self,
        name: str,
        source: FolderSource,
        part: Part,
        assembled: dict[str, Assembled],
        facts: Iterable[Fact],
        unread: Iterable[Unread],
    ) -> None:
        self.name = name
        self.source = source
        self.parts = (part,)
        self.assembled = assembled
        """The tensors that are made of pieces, by name."""
        self.facts = tuple(facts)
        self.unread = tuple(unread)

    @property
    def members(self) -> tuple[Member, ...]:
        """The files, as if they followed one another."""
        at, found = 0, list[Member]()
        for file in self.source.files.values():
            found.append(Member(file.path, at, file.size))
            at += file.size
        return tuple(found)

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """A torch zip."""
        return fresh_records(pickle, storages)


class Assembly:
    """Collects the storages of a folder while the nodes of its tensors and objects are made."""

    def __init__(self) -> None:
        self.payloads = dict[str, Payload]()
        self.assembled = dict[str, Assembled]()
        self._protocol = PROTOCOL

    def tensor(self, name: str, dtype: str, shape: tuple[int, ...], pieces: Sequence[Piece], is_flat: bool = False) -> Node:
        """A tensor made of pieces: boxes of it or, `is_flat`, stretches of its elements in row-major order.

        Raises FormatError unless they cover it, UnsupportedError for a dtype whose elements share bytes.
        """
        if dtype not in BY_NAME or dtype in PACKED:
            raise UnsupportedError(f"tensor {name} has the dtype {dtype}, which is not assembled: keep this folder as it is")
        if len(shape) > MOST_DIMENSIONS or not is_countable(*shape, BY_NAME[dtype].size):
            raise FormatError(f"tensor {name} has a shape of {len(shape)} dimensions that is larger than torch takes")
        grid = (math.prod(shape),) if is_flat else shape
        check_coverage(name, grid, pieces)
        payload = Assembled(grid, BY_NAME[dtype].size, pieces)
        self.assembled[name] = payload
        return self.whole(name, dtype, shape, payload)

    def whole(self, name: str, dtype: str, shape: tuple[int, ...], payload: Payload) -> Node:
        """A tensor whose elements are a payload, in row-major order."""
        kind = counted_in(BY_NAME[dtype])
        location = location_nodes(kind, self._key(name, payload), payload.length // kind.size, 0, shape, contiguous(shape))
        return strided(dtype, kind, location)

    def _key(self, wanted: str, payload: Payload) -> str:
        """The key of a new storage: the one that is wanted, with a number where another storage has it."""
        key, number = wanted, 1
        while key in self.payloads:
            key, number = f"{wanted} ({number + 1})", number + 1
        self.payloads[key] = payload
        return key

    def graft(self, part: Part, name: str) -> Node:
        """The object of another pickle, whose storages get keys of their own, and whose tree belongs to the folder from now on.

        Raises FormatError where it is broken, UnsupportedError where it cannot be moved.
        """
        root = part.root
        if part.anomalies:
            raise UnsupportedError(f"{name} has a pickle that cannot be written again: {part.anomalies[0]}")
        if part.big_endian and part.storages:
            raise UnsupportedError(f"{name} is big-endian: save it on a little-endian machine")
        part.check_storages()
        keys = {key: self._key(f"{name}/{key}", part.stored(key)) for key in part.storages}
        renamed = set[int]()
        for node in walk(root):
            node.steps = [memoized() if step.op in PUTS else step for step in node.steps]  # slots of its own
            reference = storage_ref(node) if isinstance(node, Persistent) else None
            if reference is not None and id(reference.id_parts) not in renamed:
                renamed.add(id(reference.id_parts))
                reference.id_parts[KEY] = atom(keys[reference.key])
        self._protocol = max(self._protocol, part.pickle.protocol or 0)
        return root

    def folder(
        self,
        kind: str,
        source: FolderSource,
        root: Node,
        limits: Limits,
        facts: Iterable[Fact] = (),
        unread: Iterable[Unread] = (),
    ) -> Folder:
        """The folder with everything that was added, of which `root` is the object."""
        data = write_pickle(Pickle(root, self._protocol))
        record = CheckedPayload(BytesPayload(data), "the object of the folder", None)
        part = Part(record.name, read_pickle(data, 0, limits), stored_in(self.payloads), record=record)
        return Folder(kind, source, part, self.assembled, facts, unread)


class Items(dict[Key, object]):
    """A list that is being filled: its items by index."""


class Tree:
    """Dicts and lists that are filled path by path, as `set_element` of torch does (`distributed/checkpoint/_nested_dict.py`,
    `_traverse.py`): missing ones are made on the way, and lists are filled up with None.
    """

    def __init__(self) -> None:
        self.root = dict[Key, object]()
        self._room = MOST_ITEMS

    def put(self, path: Sequence[Key], node: Node) -> None:
        """Raises FormatError where another value is in the way, or where a dict is taken for a list."""
        held = self.root
        for key, below in itertools.pairwise(path):
            inner = held.setdefault(_checked(held, key, path), {} if isinstance(below, str) else Items())
            if not isinstance(inner, dict):
                raise FormatError(f"the paths in this folder contradict one another: {path!r} is below a value")
            held = inner
        if held.setdefault(_checked(held, path[-1], path), node) is not node:
            raise FormatError(f"two values in this folder have the path {path!r}")

    def node(self) -> Node:
        """Everything as nodes. Raises FormatError where indices make lists far longer than what is in them."""
        return self._node(self.root)

    def _node(self, value: object) -> Node:
        if isinstance(value, Items):
            length = max(map(int, value), default=-1) + 1
            self._room -= length
            if self._room < 0:
                raise FormatError(f"the paths in this folder make lists of more than {MOST_ITEMS:,} items")
            return new_list([self._node(value.get(index)) for index in range(length)])
        if isinstance(value, dict):
            return new_dict([node for key, inner in value.items() for node in (atom(key), self._node(inner))])
        return value if isinstance(value, Node) else atom(None)


def _checked(held: dict[Key, object], key: Key, path: Sequence[Key]) -> Key:
    """The key, which has to be one for what holds it."""
    if isinstance(held, Items) != isinstance(key, int) or (isinstance(key, int) and key < 0):
        raise FormatError(f"the paths in this folder contradict one another: {path!r} takes a dict for a list or the other way")
    return key
