"""An edit of one checkpoint: what a recipe may do, and the account of what it did.

Rule: an edit assigns slots of the tree and replaces payloads by key; nothing is read or written until `finish` gave
what `slimming` writes. Whatever a recipe takes away is noted under one of the steps that users know from the original recipe.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Category, Change, Cut, Dropped, Finished, category_of
from ptzip.editing.tree_copy import copy_tree
from ptzip.errors import EditError
from ptzip.globs import Patterns
from ptzip.io.payloads import CheckedPayload, Payload
from ptzip.pickling.new_nodes import assign, atom, discard, memoized, take_out
from ptzip.pickling.nodes import Atom, Node, Persistent, Pickle, children, lookup, pair_slots, pairs, text, walk, walk_unordered
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.cast import Cast
from ptzip.tensors.references import KEY, LOCATION, StorageRef, storage_ref
from ptzip.tree.children import keyed_children, node_paths


@dataclass
class Edit:
    """An edit of a copy of the tree of a checkpoint, which does not change; `payloads` are the new payloads by storage key."""

    checkpoint: Checkpoint
    changes: list[Change] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    payloads: dict[str, Payload] = field(default_factory=dict)
    sources: dict[str, CheckedPayload] = field(default_factory=dict)
    kept: Patterns = field(default_factory=Patterns)
    """The paths that nothing is taken from, whatever a recipe does."""
    ema: bool = True
    """Whether averaged weights take the place of the live ones."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where in the input stood what stands at a path now, where that is another."""
    gone: set[str] = field(default_factory=set)
    """The paths in the input of all that was taken out or stands elsewhere now."""
    warnings: list[str] = field(default_factory=list)
    cuts: dict[str, list[Cut]] = field(default_factory=dict)
    """What is left of storages that were cut before anything was cast, by key."""
    reduced: dict[Category, int] = field(default_factory=dict)
    """The bytes that storages lost which are still there, by step."""
    used: set[str] | None = None
    """The storages that are still used, once somebody has counted them at the end."""
    sizes: dict[str, int] = field(init=False)
    """The size of every storage that the unedited tree refers to, by key."""
    pickle: Pickle = field(init=False)
    """The pickle to be written, with the edited tree."""

    def __post_init__(self) -> None:
        self.sizes = {storage.key: storage.size for storage in self.checkpoint.storages.values()}
        before = self.checkpoint.pickle
        self.pickle = Pickle(copy_tree(self.checkpoint.root), before.protocol)
        self.pickle.frames, self.pickle.memo_end, self.pickle.anomalies = before.frames, before.memo_end, before.anomalies

    @property
    def root(self) -> Node:
        assert self.pickle.root is not None
        return self.pickle.root

    @property
    def keys(self) -> list[str]:
        """The texts among the top-level keys."""
        return [name for key, _ in pairs(self.root) if (name := text(key)) is not None]

    @property
    def has_gain(self) -> bool:
        """Whether anything was done that makes the file smaller."""
        return any(change.gain for change in self.changes)

    def reduce(self, category: Category, count: int) -> None:
        """Account for bytes of storages that are still there."""
        self.reduced[category] = self.reduced.get(category, 0) + count

    def note(self, category: Category, path: str, what: str, gain: bool = True) -> None:
        self.changes.append(Change(category, path, what, gain))

    def blank(self, *keys: str) -> None:
        """Set top-level keys to None, adding those that are missing (the strippers do, and loaders ask for them)."""
        for key in keys:
            before = lookup(self.root, key)
            if (isinstance(before, Atom) and before.value is None) or (before is not None and self._is_kept(key, before)):
                continue
            assign(self.root, key, atom(None))
            if before is not None and before is lookup(self.root, "model"):
                self.gone.add(key)
                self.note(category_of(key), key, "None, since it is the model now")
            elif before is not None:
                self._drop(key, before, "None")

    def remove(self, *keys: str) -> None:
        """Take top-level keys out; those that are missing are no matter."""
        for key in keys:
            value = lookup(self.root, key)
            if value is not None and not self._is_kept(key, value):
                discard(self.root, key)
                self._drop(key, value, "removed")

    def take(self, holder: Node, key: str, path: str, category: Category, what: str) -> None:
        """Take a key out of any dict of the tree."""
        value = lookup(holder, key)
        if value is not None and not self._is_kept(path, value):
            discard(holder, key)
            self.drop(category, path, value, what)

    def replace(self, key: str, better: Node, path: str, called: str = "") -> None:
        """Let a top-level key have a value that stands elsewhere in the tree, at `path`, and still does."""
        before = lookup(self.root, key)
        if better is before or (before is not None and self.keeps(key, before)):
            return
        assign(self.root, key, better)
        self.moved[key] = path
        if before is not None:
            self._drop(key, before, f"replaced by {called or path}")

    def take_where(self, holder: Node, path: str, is_gone: Callable[[str], bool], category: Category, what: str) -> None:
        """Take the keys that are to go out of any dict of the tree, all in one pass."""
        slots = [(name, slot) for key, slot in pair_slots(holder) if (name := text(key)) is not None and is_gone(name)]
        gone = [(name, slot) for name, slot in slots if not self._is_kept(f"{path}.{name}", slot.node)]
        if gone:
            self.gone.update(f"{path}.{name}".lstrip(".") for name, _ in gone)
            self.drop_all(category, path, [slot.node for _, slot in gone], f"{len(gone)} {what} removed")
            for _, slot in reversed(gone):
                take_out(holder, slot)

    def keeps(self, path: str, value: Node) -> bool:
        """Whether the user keeps a value, or something in it."""
        if not self.kept:
            return False
        return self.kept.match(path) or any(self.kept.match(below) for below, _ in node_paths(value, path))

    def _is_kept(self, path: str, value: Node) -> bool:
        """The same; of a value that is kept in part, all else goes here."""
        if not self.keeps(path, value):
            return False
        if not self.kept.match(path):
            self._prune(path, value)
        return True

    def _prune(self, path: str, value: Node, way: tuple[int, ...] = ()) -> None:
        """Take out of a dict what is neither kept nor holds something that is; not of one that stands elsewhere too."""
        if id(value) in way or self._stands_twice(value):
            return
        for child in reversed(list(keyed_children(value))):
            below, inner, slot = f"{path}.{child.part}", child.value, child.slot
            if slot is None:
                continue
            if not self.keeps(below, inner):
                take_out(value, slot)
                self._drop(below, inner, "removed")
            elif not self.kept.match(below):
                self._prune(below, inner, (*way, id(value)))

    def _stands_twice(self, value: Node) -> bool:
        return sum(below is value for node in walk_unordered(self.root) for below in children(node)) > 1

    def number(self, key: str, value: int) -> None:
        """Set a top-level key to a number."""
        before = lookup(self.root, key)
        if not self.kept.match(key) and (not isinstance(before, Atom) or before.value != value):
            assign(self.root, key, atom(value))
            self.note(category_of(key), key, str(value), gain=False)

    def keep_only(self, *keys: str) -> None:
        """Take every other top-level key out, and add those that are missing as None."""
        self.remove(*(name for name in self.keys if name not in keys))
        for name in keys:
            if lookup(self.root, name) is None:
                assign(self.root, name, atom(None))

    def take_everything(self, holder: Node, path: str, what: str) -> None:
        """Empty a dict of the tree, which stays."""
        found = list(pair_slots(holder))
        if found and not self._is_kept(path, holder):
            self.gone.add(path)
            self.drop_all(category_of(path), path, [slot.node for _, slot in found], what)
            for _, slot in reversed(found):
                take_out(holder, slot)

    def _drop(self, path: str, value: Node, what: str) -> None:
        self.drop(category_of(path), path, value, what)

    def drop(self, category: Category, path: str, value: Node, what: str, gain: bool = False) -> None:
        """Note that `value`, which stood at `path`, was taken out of the tree, and that it is a gain if nothing of it is."""
        self.gone.add(path)
        self.drop_all(category, path, [value], what, gain)

    def drop_all(self, category: Category, path: str, values: list[Node], what: str, gain: bool = False) -> None:
        """The same for several values."""
        found = set[str]().union(*map(storages_of, values))
        text_bytes = sum(len((text(value) or "").encode("utf-8", "surrogatepass")) for value in values)
        self.dropped.append(Dropped(category, found, text_bytes))
        is_more = category is not Category.RESULTS and not all(isinstance(value, Atom) for value in values)
        self.note(category, path, what, gain=gain or is_more or text_bytes > 0 or bool(found))

    def source(self, key: str) -> CheckedPayload:
        """The bytes of a storage as they are in the file."""
        if key not in self.sources:
            self.sources[key] = self.checkpoint.main.stored(key)
        return self.sources[key]

    def payload(self, key: str) -> Payload:
        """The bytes of a storage as they are to be written so far."""
        return self.payloads.get(key) or self.source(key)

    def outlook(self) -> dict[Category, int]:
        """The bytes that will be saved by step, told before the pickle is spelled, which takes longest of all."""
        kept = storages_of(self.root) if self.used is None else self.used
        return self._saved(kept, sum(self.payload(key).length for key in kept))

    def finish(self, location: str | None = None, is_legacy: bool = False) -> Finished:
        """Number the storages in order of first appearance, and spell the pickle; raises EditError where it cannot.

        `location` is where every storage will be loaded to, whatever device it was saved from; None keeps that. In a legacy
        stream an id says of which storage it is a view: of none.
        """
        references: dict[str, list[StorageRef]] = {}
        for reference in _references(self.root):
            references.setdefault(reference.key, []).append(reference)
        for number, ids in enumerate(references.values()):
            renumber(ids, str(number))
        if location is not None:
            self._relocate([reference for ids in references.values() for reference in ids], location)
        for parts in (
            {id(one.id_parts): one.id_parts for ids in references.values() for one in ids}.values() if is_legacy else ()
        ):
            parts.append(atom(None))
        storages = [self.payload(key) for key in references]
        casts = [payload for payload in storages if isinstance(payload, Cast)]
        saved = self._saved(set(references), sum(payload.length for payload in storages))
        read = [*self.sources.values()]
        if self.checkpoint.main.record is not None:
            read.insert(0, self.checkpoint.main.record)
        items = [ids[0].dtype.size for ids in references.values()]
        return Finished(write_pickle(self.pickle), storages, items, saved, read, casts)

    def _relocate(self, references: list[StorageRef], location: str) -> None:
        elsewhere = [reference for reference in references if reference.location != location]
        if elsewhere:
            shared = atom(location)
            shared.add(memoized())
            for reference in elsewhere:
                reference.id_parts[LOCATION] = shared
            self.note(Category.OTHER, "storages", f"location {elsewhere[0].location} -> {location}")

    def _saved(self, kept: set[str], new_bytes: int) -> dict[Category, int]:
        """Bytes by step: a storage counts for the first step that let go of it, what remains smaller for the cast."""
        saved, gone = dict.fromkeys(Category, 0), set[str]()
        for drop in self.dropped:
            freed = drop.keys - kept - gone
            gone |= freed
            saved[drop.category] += drop.text_bytes + sum(self.sizes[key] for key in freed)
        for category, count in self.reduced.items():
            saved[category] += count
        left = sum(size for key, size in self.sizes.items() if key not in gone)
        saved[Category.HALF] = left - new_bytes - sum(self.reduced.values())
        return saved


def storages_of(root: Node) -> set[str]:
    """The storages that are used below a node."""
    ids = (storage_ref(node) for node in walk_unordered(root) if isinstance(node, Persistent))
    return {reference.key for reference in ids if reference}


def _references(root: Node) -> Iterator[StorageRef]:
    for node in walk(root):
        if isinstance(node, Persistent):
            reference = storage_ref(node)
            if reference is None:
                raise EditError(f"the persistent id at byte {node.offset} is none of a storage, so it cannot be renumbered")
            yield reference


def renumber(ids: list[StorageRef], key: str) -> None:
    """Give all references of a storage a new key node; the old one may stand for other things too."""
    if ids[0].key == key:
        return
    node = atom(key)
    if len(ids) > 1:
        node.add(memoized())
    for reference in ids:
        reference.id_parts[KEY] = node
