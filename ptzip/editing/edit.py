"""An edit: a tree of its own, new payloads by storage key, and the account of what was changed.

The tree is a copy of that of the checkpoint, unless the checkpoint released it. Nothing is read or written before `finish`,
which gives what is to be laid out as a file.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import cached_property
from typing import NamedTuple

from ptzip.editing.account import Account, Category, category_of
from ptzip.editing.storage_users import renumber, storage_ids
from ptzip.errors import beyond
from ptzip.formats.container import Part
from ptzip.globs import Patterns
from ptzip.io.payloads import CheckedPayload, Payload
from ptzip.pickling.new_nodes import assign, atom, copy_tree, memoized, take_out_all
from ptzip.pickling.nodes import (
    Atom,
    Node,
    Persistent,
    Pickle,
    Slot,
    children,
    lookup,
    pair_slots,
    pairs,
    text,
    walk,
    walk_unordered,
)
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.cast import Cast
from ptzip.tensors.references import LOCATION, StorageRef
from ptzip.tree.children import keyed_children, node_paths
from ptzip.tree.paths import join_path, with_prefixes

MOST_LOOKS = 4
"""How often each path may be compared with what an edit keeps: an edit asks for values, and again for those in them."""


class Cut(NamedTuple):
    """Elements of a storage from `first` to before `stop` that became `length` elements from element `at`."""

    first: int
    stop: int
    at: int
    length: int


class Removable(NamedTuple):
    """A value to remove from the tree: `owner` is the dict that can lose its key, `what` says what it is."""

    path: str
    slot: Slot
    owner: Node | None
    category: Category
    what: str


class Finished(NamedTuple):
    """The content of a new file: the pickle, and the storages under the keys "0", "1", ...

    `items` are the bytes of an element of each storage, `saved` the bytes by category, `read` the records of the input that
    writing reads, `casts` the casts among the storages.
    """

    pickle: bytes
    storages: list[Payload]
    items: list[int]
    saved: dict[Category, int]
    read: list[CheckedPayload]
    casts: list[Cast]


class Edit:
    """An edit of the first pickle of a file, `part`.

    `keep` are paths from which nothing is removed; `ema` is whether averaged weights replace the live ones; `path` is that of
    the file, to look for files beside it. `owned` edits the tree of the part itself, which nobody else may hold.
    """

    def __init__(self, part: Part, keep: Patterns | None = None, ema: bool = True, path: str = "", owned: bool = False) -> None:
        self.part = part
        self.owned = owned
        self.keep = Patterns() if keep is None else keep
        self.ema = ema
        self.path = path
        sizes = {storage.key: storage.size for storage in part.storages.values()}
        self.account = Account(sizes, part.pickle.limits.opcodes)
        self.payloads: dict[str, Payload] = {}
        self.arrays: dict[int, tuple[str, object]] = {}
        """The keys of storages that hold the bytes of arrays, and the objects with the bytes, by their identity."""
        self.cuts: dict[str, list[Cut]] = {}
        """How storages were trimmed before anything was cast, by key."""
        self.pickle = Pickle(part.root if owned else copy_tree(part.root), part.pickle.protocol)
        self.pickle.frames, self.pickle.memo_end = part.pickle.frames, part.pickle.memo_end
        self.pickle.anomalies = part.pickle.anomalies
        self.most_paths = part.pickle.limits.paths
        self._seen_paths = 0
        self.is_relocated = False
        """Whether tensors load to another device than they were saved from, once it is finished."""
        self._sources: dict[str, CheckedPayload] = {}

    @property
    def root(self) -> Node:
        assert self.pickle.root is not None
        return self.pickle.root

    @property
    def keys(self) -> list[str]:
        """The texts among the top-level keys."""
        return [name for key, _ in pairs(self.root) if (name := text(key)) is not None]

    # Removing and replacing. Values that `keep` protects stay; of a value that is protected in part, the rest is removed.

    def remove(self, *names: str) -> None:
        """Remove top-level keys; missing ones are ignored."""
        slots: dict[str, list[Slot]] = {name: [] for name in names}
        for key, slot in pair_slots(self.root):
            if (name := text(key)) in slots:
                slots[name].append(slot)
        for name, found in slots.items():
            if found and self._is_protected(name, found[-1].node):
                found.clear()
            elif found:
                self.account.removed(category_of(name), name, [found[-1].node], "removed")
        take_out_all(self.root, [slot for found in slots.values() for slot in found])

    def remove_all(self, found: Iterable[Removable]) -> None:
        """Remove values with their keys, or set them to None where no dict can lose a key; each dict loses its keys at once."""
        emptied: dict[int, tuple[Node, list[Slot]]] = {}
        for path, slot, owner, category, what in found:
            value = slot.node
            if self._is_protected(path, value):
                continue
            if owner is not None:
                emptied.setdefault(id(owner), (owner, []))[1].append(slot)
            else:
                slot.put(atom(None))
            self.account.removed(category, path, [value], f"{'None' if owner is None else 'removed'}, {what}", gain=True)
        for owner, slots in emptied.values():
            take_out_all(owner, slots)

    def remove_matching(
        self, holder: Node, path: str, is_removed: Callable[[str], bool], category: Category, what: str
    ) -> None:
        """Remove keys of a dict in one pass, as one change at its `path`; "{count}" in `what` becomes their number."""
        named = [(child.part or "", child.slot) for child in keyed_children(holder) if child.slot]
        chosen = [(join_path(path, name), slot) for name, slot in named if is_removed(name)]
        removed = [(below, slot) for below, slot in chosen if not self._is_protected(below, slot.node)]
        if removed:
            values, paths = [slot.node for _, slot in removed], [below for below, _ in removed]
            self.account.removed(category, path, values, what.format(count=len(removed)), paths=paths)
            take_out_all(holder, [slot for _, slot in removed])

    def set_none(self, *names: str) -> None:
        """Set top-level keys to None, also missing ones: strippers do so, and loaders expect the keys."""
        for name in names:
            before = lookup(self.root, name)
            if before is None:
                assign(self.root, name, atom(None))
            elif not is_none(before) and not self._is_protected(name, before):
                assign(self.root, name, atom(None))
                if before is lookup(self.root, "model"):
                    self.account.removed_paths.add(name)
                    self.account.change(category_of(name), name, "None, since it is the model now")
                else:
                    self.account.removed(category_of(name), name, [before], "None")

    def keep_only(self, *names: str) -> None:
        """Remove all other top-level keys, and add missing ones as None."""
        found = dict.fromkeys(self.keys)
        self.remove(*(name for name in found if name not in names))
        self.set_none(*(name for name in names if name not in found))

    def set_number(self, name: str, value: int) -> None:
        """Set a top-level key to a number."""
        before = lookup(self.root, name)
        if not self.keep.match(name) and (not isinstance(before, Atom) or before.value != value):
            assign(self.root, name, atom(value))
            self.account.change(category_of(name), name, str(value), gain=False)

    def replace(self, name: str, value: Node, path: str, called: str = "") -> None:
        """Set a top-level key to a value that is in the tree at `path`, where it remains."""
        before = lookup(self.root, name)
        if value is before or (before is not None and self.keeps(name, before)):
            return
        assign(self.root, name, value)
        self.account.moved[name] = path
        if before is not None:
            self.account.removed(category_of(name), name, [before], f"replaced by {called or path}")

    def replace_items(
        self, state: Node, path: str, others: Node, other_path: str, other_name: Callable[[str], str], what: str
    ) -> None:
        """Replace the weights of a dict by those of another, or of the same, where it has one of the other name."""
        found = {name: value for key, value in pairs(others) if (name := text(key)) is not None}
        replaced = list[Node]()
        for key, slot in pair_slots(state):
            name = text(key) or ""
            below, other = join_path(path, name), other_name(name)
            if other in found and not self.keeps(below, slot.node):
                replaced.append(slot.node)
                slot.put(found[other])
                self.account.moved[below] = join_path(other_path, other)
                self.account.removed_paths.add(below)
        if replaced:
            self.account.removed(Category.EMA, path, replaced, f"{len(replaced)} weights replaced by {what}")

    def keeps(self, path: str, value: Node) -> bool:
        """Whether `keep` protects a value, or something in it."""
        return bool(self.keep) and (self.keep.match(path) or any(map(self.keep.match, self._paths_below(path, value))))

    def _is_protected(self, path: str, value: Node) -> bool:
        """Whether `keep` protects a value or something in it, of which the rest is then removed."""
        if not self.keep or self.keep.match(path):
            return bool(self.keep)
        kept = {below for below in self._paths_below(path, value) if self.keep.match(below)}
        if kept:
            self._remove_unprotected(path, value, kept)
        return bool(kept)

    def _paths_below(self, path: str, value: Node) -> Iterator[str]:
        """The paths of everything below a value. Raises LimitError where values that are shared are looked at very often."""
        for below, _ in node_paths(value, path, most=self.most_paths):
            self._seen_paths += 1
            if self._seen_paths > MOST_LOOKS * self.most_paths:
                raise beyond("paths", self.most_paths, f"--keep is compared with more than {MOST_LOOKS} times as many paths as")
            yield below

    def _remove_unprotected(self, path: str, value: Node, kept: set[str]) -> None:
        """Remove from dicts what is neither `kept` nor holds something that is; not from one that is used twice."""
        holding = {above for below in kept for above in with_prefixes(below)}
        pending = [(path, value)]
        while pending:
            above, holder = pending.pop()
            if self._positions[id(holder)] > 1:
                continue
            removed = list[Slot]()
            for child in reversed(keyed_children(holder)):
                below = f"{above}.{child.part}"
                if child.slot is not None and below not in holding:
                    removed.append(child.slot)
                    self.account.removed(category_of(below), below, [child.value], "removed")
                elif child.slot is not None and below not in kept:
                    pending.append((below, child.value))
            take_out_all(holder, removed)

    @cached_property
    def _positions(self) -> Counter[int]:
        """In how many positions each node was, by its identity, when something was kept of a value for the first time."""
        return Counter(id(below) for node in walk_unordered(self.root) for below in children(node))

    # Storages

    def source(self, key: str) -> CheckedPayload:
        """The bytes of a storage in the input."""
        if key not in self._sources:
            self._sources[key] = self.part.stored(key)
        return self._sources[key]

    def payload(self, key: str) -> Payload:
        """The bytes of a storage as the edit would write them now."""
        return self.payloads.get(key) or self.source(key)

    @property
    def read(self) -> list[CheckedPayload]:
        """The records of the input that were needed so far."""
        return [*([self.part.record] if self.part.record is not None else []), *self._sources.values()]

    def as_part(self) -> Part:
        """The edited pickle, to be looked at like one of a file."""
        pickle = copy(self.part.pickle)
        pickle.root, pickle.persistents = self.root, [node for node in walk(self.root) if isinstance(node, Persistent)]
        return Part(self.part.name, pickle, self._stored, self.part.big_endian)

    def _stored(self, key: str) -> CheckedPayload:
        payload = self.payload(key)
        return payload if isinstance(payload, CheckedPayload) else CheckedPayload(payload, f"storage {key}", None)

    def finish(self, location: str | None = None, is_legacy: bool = False) -> Finished:
        """Number the storages in order of first appearance and write the pickle; raises EditError where that is impossible.

        `location` is the device that all storages load to, None for the device that each was saved from. In a legacy stream an
        id has a sixth item, the view metadata: None.
        """
        ids: dict[str, list[StorageRef]] = {}
        with self.part.placed():
            for reference in storage_ids(self.root):
                ids.setdefault(reference.key, []).append(reference)
        for number, same in enumerate(ids.values()):
            renumber(same, str(number))
        references = [reference for same in ids.values() for reference in same]
        if location is not None:
            self._relocate(references, location)
        if is_legacy:
            for items in {id(reference.id_parts): reference.id_parts for reference in references}.values():
                items.append(atom(None))
        storages = [self.payload(key) for key in ids]
        with self.part.placed():
            pickle = write_pickle(self.pickle)
        return Finished(
            pickle=pickle,
            storages=storages,
            items=[same[0].dtype.size for same in ids.values()],
            saved=self.account.saved(set(ids), sum(payload.length for payload in storages)),
            read=self.read,
            casts=[payload for payload in storages if isinstance(payload, Cast)],
        )

    def release(self) -> None:
        """Let go of the tree, once its pickle is spelled: it takes ten times the memory. The part is no longer of use."""
        self.pickle.root = None
        if self.owned:
            self.part.release()

    def _relocate(self, references: list[StorageRef], location: str) -> None:
        elsewhere = [reference for reference in references if reference.location != location]
        if elsewhere:
            self.is_relocated = True
            shared = atom(location)
            shared.add(memoized())
            for reference in elsewhere:
                reference.id_parts[LOCATION] = shared
            self.account.change(Category.OTHER, "storages", f"location {elsewhere[0].location} -> {location}")


def is_none(node: Node) -> bool:
    return isinstance(node, Atom) and node.value is None
