"""Which tensors are cast, decided reference by reference as `module.half()` decides it.

`half()` makes a new tensor of each parameter and each buffer that holds floats and leaves plain attributes alone, so of two
tensors on one float32 storage one may become float16 while the other stays. Rule: a storage is cast where it is if the
tensor is its only user; otherwise the tensor moves to a storage of its own, which holds the part that it uses.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.storage_users import Uses
from ptzip.editing.trim import Island, cut_out, islands, joined
from ptzip.editing.yolo_heads import head_slots
from ptzip.errors import FormatError
from ptzip.io.payloads import Payload
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Call, Dict, Node, Persistent, Slot, Tuple, pair_slots
from ptzip.tensors.cast import Cast, Stretch
from ptzip.tensors.dtypes import BY_NAME, DTYPES
from ptzip.tensors.references import CLASS, KEY, NUMEL, StorageRef, TensorRef, tensor_ref, tensor_ref_on, tensor_slot
from ptzip.tree.modules import buffer_slots, is_module, parameter_slots


class Wish(NamedTuple):
    """What is to be cast to what: `target` is float16 or bfloat16; `spared` are tensors that stay, by the identity of their
    nodes, and `wide` the stretches of storages that stay, since their numbers are beyond the range."""

    target: str = "float16"
    saturate: bool = False
    spared: Collection[int] = frozenset()
    wide: Collection[Stretch] = frozenset()


class Casting:
    """The casts of one edit; it comes after all removals, since it counts who uses what."""

    def __init__(self, edit: Edit, uses: Uses, wish: Wish) -> None:
        self.edit = edit
        self.edges = uses.edges
        self.references = uses.references
        self.parsed = uses.parsed
        self.wish = wish
        self.castable = {dtype.name for dtype in DTYPES if wish.target in dtype.casts}
        self.kind = named("torch", BY_NAME[wish.target].storage)
        self.count = 0
        self.moved: set[tuple[int, int]] = set()
        """The places of tensors that were cast together with others."""
        self.left: set[str] = set()
        """The storages that a tensor moved away from."""

    def each(self, slots: Iterable[Slot]) -> None:
        """The tensors at some places, each on its own."""
        for slot in slots:
            self.one(tensor_slot(slot))

    def one(self, slot: Slot) -> None:
        found = self._wanted(slot)
        if found is None or self._stretch(found) in self.wish.wide:
            return
        self.count += 1
        if self._is_alone(found):
            self._recast(found.storage)
        else:
            self._split(slot, found)

    def tied(self, slots: Iterable[Slot]) -> None:
        """The tensors at some places, those on one storage together, so that what was shared stays shared."""
        groups: dict[str, list[tuple[Slot, TensorRef]]] = {}
        for slot in map(tensor_slot, slots):
            found = self._wanted(slot)
            if found is not None:
                groups.setdefault(found.storage.key, []).append((slot, found))
        for key, group in groups.items():
            ids = {id(found.storage.node): found.storage for _, found in group}
            here = Counter(id(found.node) for _, found in group)
            if len(ids) == self.references[key] and all(self.edges[node] <= count for node, count in here.items()):
                self._together(group, list(ids.values()))
            else:
                self._move(group)

    def _together(self, group: list[tuple[Slot, TensorRef]], ids: list[StorageRef]) -> None:
        """All tensors of a storage, which is cast whole, or not at all."""
        if Stretch(ids[0].key, 0, ids[0].numel) not in self.wish.wide:
            self._note(group)
            for reference in ids:
                self._recast(reference)

    def _note(self, group: list[tuple[Slot, TensorRef]]) -> None:
        self.count += len(group)
        self.moved.update((id(slot.holder), slot.index) for slot, _ in group)

    def _move(self, group: list[tuple[Slot, TensorRef]]) -> None:
        """Some tensors of a storage, to one new storage, where they share what they did."""
        reference, spans = group[0][1].storage, [found.span for _, found in group]
        first, stop = min(span[0] for span in spans), max(span[1] for span in spans)
        stretch = Stretch(reference.key, first, stop)
        if stretch in self.wish.wide:
            return
        self._note(group)
        self._check(group[0][1], stop)
        found_in = [found for _, found in group]
        part, lies = _gathered(found_in, self.edit.payload(reference.key), reference.dtype.size)
        key, made = self._stored(part, reference, stretch), dict[int, Node]()
        for slot, found in group:
            node = id(found.node)
            if node not in made:
                identity = self._identity(reference, key, part.length // reference.dtype.size)
                made[node] = tensor_ref_on(found, identity, *lies[node])
            slot.put(made[node])
            self._left(found)

    def _wanted(self, slot: Slot) -> TensorRef | None:
        """The tensor in a place, if it is to be cast."""
        if id(slot.node) in self.wish.spared:
            return None
        found = self.parsed.get(id(slot.node))
        if found is None or found.storage.key in self.edit.cuts or found.storage.id_parts[CLASS] is self.kind:
            found = tensor_ref(slot.node)  # it was not looked at so far, or has changed since
        return found if found is not None and found.storage.dtype.name in self.castable else None

    def _stretch(self, found: TensorRef) -> Stretch:
        return Stretch(found.storage.key, *found.span)

    def _is_alone(self, found: TensorRef) -> bool:
        """Whether nothing but this tensor uses the storage, and it uses all of it."""
        reference = found.storage
        return (
            self.edges[id(found.node)] <= 1
            and self.edges[id(reference.node)] <= 1
            and self.references[reference.key] == 1
            and found.span == (0, reference.numel)
        )

    def _recast(self, reference: StorageRef) -> None:
        """Another class in the id, a cast around the payload; the key stays."""
        reference.id_parts[CLASS] = self.kind
        payload = self.edit.payload(reference.key)
        if not isinstance(payload, Cast):
            stretch = Stretch(reference.key, 0, reference.numel)
            self.edit.payloads[reference.key] = self._cast(payload, reference, stretch)

    def _split(self, slot: Slot, found: TensorRef) -> None:
        """A new storage for what this tensor uses, and a new tensor on it in this slot only."""
        reference, (first, stop) = found.storage, found.span
        self._check(found, stop)
        size = reference.dtype.size
        part, strides = cut_out(Island(first, stop, [found]), self.edit.payload(reference.key), size)
        key = self._stored(part, reference, self._stretch(found))
        slot.put(tensor_ref_on(found, self._identity(reference, key, part.length // size), 0, strides))
        self._left(found)

    def _check(self, found: TensorRef, stop: int) -> None:
        if stop > found.storage.numel:
            raise FormatError(f"a tensor reaches past its storage {found.storage.key}", found.node.offset)

    def _stored(self, part: Payload, reference: StorageRef, stretch: Stretch) -> str:
        """The key of a new storage, the cast of a part of an old one."""
        key = f"{reference.key} part {len(self.edit.payloads)}"
        self.edit.payloads[key] = self._cast(part, reference, stretch)
        self.references[key] += 1
        return key

    def _identity(self, reference: StorageRef, key: str, numel: int) -> Persistent:
        """The persistent id of a new storage."""
        items = list(reference.id_parts)
        items[CLASS], items[KEY], items[NUMEL] = self.kind, atom(key), atom(numel)
        return Persistent("BINPERSID", None, [Tuple("TUPLE", None, items)])

    def _left(self, found: TensorRef) -> None:
        """Note that a tensor stands in one place less."""
        self.edges[id(found.node)] -= 1
        if not self.edges[id(found.node)]:
            self.references[found.storage.key] -= 1
            self.left.add(found.storage.key)

    def _cast(self, payload: Payload, reference: StorageRef, stretch: Stretch) -> Cast:
        dtype, big_endian = reference.dtype, self.edit.checkpoint.main.big_endian
        return Cast(payload, dtype.name, dtype.size, big_endian, self.wish.target, self.wish.saturate, stretch)


def _gathered(tensors: list[TensorRef], whole: Payload, size: int) -> tuple[Payload, dict[int, tuple[int, Node | None]]]:
    """What some tensors of a storage use of it, without the rest; by the identities of their nodes, their offsets in that, and
    their strides where they are others now."""
    parts, lies = list[Payload](), dict[int, tuple[int, Node | None]]()
    for island in islands({id(found.node): found for found in tensors}.values()):
        at = sum(part.length for part in parts) // size
        part, strides = cut_out(island, whole, size)
        parts.append(part)
        lies |= {id(one.node): (at + max(one.offset - island.first, 0), strides) for one in island.tensors}
    return joined(parts), lies


def cast(edit: Edit, uses: Uses, weights: Iterable[tuple[str, Node]], wish: Wish) -> set[str]:
    """Cast what `model.half()` would cast: of a module its parameters and buffers, then what the framework adds to those.

    `weights` are by their paths; where one is a dict of tensors instead, all of them are, and what was tied stays tied.
    Returns the storages that other tensors are left alone on.
    """
    casting, dicts, found_in = Casting(edit, uses, wish), list[Slot](), dict[str, list[Slot]]()
    for path, root in weights:
        before = casting.count
        if is_module(root):
            for slots in (parameter_slots(root), buffer_slots(root), head_slots(root)):
                casting.each(slots)
            _tell(edit, path, casting.count - before, wish)
        else:
            found_in[path] = tensor_slots(root)
            dicts += found_in[path]
    casting.tied(dicts)
    for path, places in found_in.items():
        moved = [slot for slot in map(tensor_slot, places) if (id(slot.holder), slot.index) in casting.moved]
        _tell(edit, path, len(moved), wish)
    edit.used = uses.kept()
    return casting.left & edit.used


def _tell(edit: Edit, path: str, count: int, wish: Wish) -> None:
    if count:
        edit.note(Category.HALF, path, f"{count} tensors to {wish.target}")


def tensor_slots(weights: Node | None) -> list[Slot]:
    """The places of the tensors in a dict of them; none where it is no such dict."""
    if not isinstance(weights, Dict | Call):
        return []
    return [slot for _, slot in pair_slots(weights) if tensor_ref(tensor_slot(slot).node)]
