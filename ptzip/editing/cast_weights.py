"""Which tensors are cast, decided for each reference as `module.half()` decides it.

`half()` makes a new tensor of every parameter and buffer that holds floats and leaves plain attributes alone, so of two tensors
on one float32 storage one may become float16 while the other stays. A storage is cast where it is if nothing but the tensors
to be cast uses it; otherwise those tensors move to a new storage that holds the part that they use.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.storage_users import StorageUsers
from ptzip.editing.trim import islands, joined
from ptzip.editing.yolo_heads import head_slots
from ptzip.errors import FormatError
from ptzip.io.payloads import Payload
from ptzip.pickling.new_nodes import atom, named, new_tuple
from ptzip.pickling.nodes import Call, Dict, List, Node, Persistent, Slot, Tuple, item_slots, pair_slots
from ptzip.tensors.cast import Cast, Stretch
from ptzip.tensors.dtypes import BY_NAME, DTYPES
from ptzip.tensors.references import CLASS, KEY, NUMEL, StorageRef, TensorRef, tensor_ref, tensor_ref_on, tensor_slot
from ptzip.tree.modules import buffer_slots, is_module, parameter_slots


class CastOptions(NamedTuple):
    """`target` is float16 or bfloat16. `excluded` are tensors to leave alone, by the identity of their nodes, `overflowing` the
    stretches of storages that keep their dtype since values in them are beyond the range of the target."""

    target: str = "float16"
    saturate: bool = False
    excluded: Collection[int] = frozenset()
    overflowing: Collection[Stretch] = frozenset()


class TensorInSlot(NamedTuple):
    """A tensor to be cast, and one of the positions that it has."""

    slot: Slot
    tensor: TensorRef


def cast_weights(edit: Edit, users: StorageUsers, weights: Iterable[tuple[str, Node]], options: CastOptions) -> set[str]:
    """Cast `weights`, given with their paths: all tensors of a dict, or the parameters and buffers of a module and the
    attributes that its framework casts too.

    Tensors of a module get a storage each, as `half()` does it; those of dicts that shared a storage still share one. Returns
    the keys of the storages that tensors moved away from and that are still used.
    """
    caster, dicts = Caster(edit, users, options), dict[str, list[Slot]]()
    for path, root in weights:
        if is_module(root):
            before = caster.count
            for slot in (*parameter_slots(root), *buffer_slots(root), *head_slots(root)):
                caster.cast_one(slot)
            _report(edit, path, caster.count - before, options)
        else:
            dicts[path] = [tensor_slot(slot) for slot in tensor_slots(root)]
    caster.cast_shared(slot for slots in dicts.values() for slot in slots)
    for path, slots in dicts.items():
        _report(edit, path, sum((id(slot.holder), slot.index) in caster.cast_positions for slot in slots), options)
    return caster.left & users.used()


def _report(edit: Edit, path: str, count: int, options: CastOptions) -> None:
    if count:
        edit.account.change(Category.HALF, path, f"{count} tensors to {options.target}")


def tensor_slots(weights: Node | None) -> list[Slot]:
    """The slots of the tensors in a dict, a list or a tuple, parameters included; none where `weights` is anything else."""
    if not isinstance(weights, Dict | Call | List | Tuple):
        return []
    slots = item_slots(weights) if isinstance(weights, List | Tuple) else (slot for _, slot in pair_slots(weights))
    return [slot for slot in slots if tensor_ref(tensor_slot(slot).node)]


class Caster:
    """The casts of one edit. Removals come before, since whether a storage is shared depends on all of its users."""

    def __init__(self, edit: Edit, users: StorageUsers, options: CastOptions) -> None:
        self.edit = edit
        self.users = users
        self.options = options
        self.castable = {dtype.name for dtype in DTYPES if options.target in dtype.casts}
        self.storage_class = named("torch", BY_NAME[options.target].storage)
        self.count = 0
        self.cast_positions: set[tuple[int, int]] = set()
        """The slots of tensors that were cast, by the identity of the list and the index in it."""
        self.left: set[str] = set()
        """The keys of storages that a tensor moved away from."""

    def cast_one(self, slot: Slot) -> None:
        """Cast the tensor in a slot on its own, whatever else is on its storage."""
        slot = tensor_slot(slot)
        tensor = self._to_be_cast(slot)
        if tensor is None:
            return
        storage = tensor.storage
        is_only_user = (
            self.users.edges[id(tensor.node)] <= 1
            and self.users.edges[id(storage.node)] <= 1
            and self.users.references[storage.key] == 1
            and tensor.span == (0, storage.numel)
        )
        self._cast([TensorInSlot(slot, tensor)], is_only_user)

    def cast_shared(self, slots: Iterable[Slot]) -> None:
        """Cast the tensors in some slots, those on one storage together, so that what was shared stays shared."""
        groups: dict[str, list[TensorInSlot]] = {}
        for slot in slots:
            tensor = self._to_be_cast(slot)
            if tensor is not None:
                groups.setdefault(tensor.storage.key, []).append(TensorInSlot(slot, tensor))
        for key, group in groups.items():
            positions = Counter(id(tensor.node) for _, tensor in group)
            are_only_users = len({id(tensor.storage.node) for _, tensor in group}) == self.users.references[key] and all(
                self.users.edges[node] <= count for node, count in positions.items()
            )
            self._cast(group, are_only_users)

    def _to_be_cast(self, slot: Slot) -> TensorRef | None:
        if id(slot.node) in self.options.excluded:
            return None
        tensor = self.users.parsed.get(id(slot.node))
        if tensor is None or tensor.storage.key in self.edit.cuts or tensor.storage.id_parts[CLASS] is self.storage_class:
            tensor = tensor_ref(slot.node)  # not parsed before, or changed since
        return tensor if tensor is not None and tensor.storage.dtype.name in self.castable else None

    def _cast(self, group: list[TensorInSlot], in_place: bool) -> None:
        """Cast tensors of one storage: with the whole storage where it is, or moved to a new storage."""
        storage, spans = group[0].tensor.storage, [tensor.span for _, tensor in group]
        stretch = Stretch(storage.key, min(first for first, _ in spans), max(stop for _, stop in spans))
        if in_place:
            stretch = Stretch(storage.key, 0, storage.numel)
        if stretch in self.options.overflowing:
            return
        self.count += len(group)
        self.cast_positions.update((id(slot.holder), slot.index) for slot, _ in group)
        if not in_place:
            self._move(group, stretch)
            return
        for tensor in {id(tensor.storage.node): tensor for _, tensor in group}.values():
            tensor.storage.id_parts[CLASS] = self.storage_class
        payload = self.edit.payload(storage.key)
        if not isinstance(payload, Cast):
            self.edit.payloads[storage.key] = self._cast_payload(payload, storage, stretch)

    def _move(self, group: list[TensorInSlot], stretch: Stretch) -> None:
        """Move tensors of one storage to a new one that holds the cast of what they use, and put new tensors in their slots."""
        storage = group[0].tensor.storage
        if stretch.stop > storage.numel:
            raise FormatError(
                f"a tensor uses elements up to {stretch.stop} of storage {storage.key}, which has {storage.numel}",
                group[0].tensor.node.offset,
            )
        size, parts, moved = storage.dtype.size, list[Payload](), dict[int, tuple[int, Node | None]]()
        whole, at = self.edit.payload(storage.key), 0
        for island in islands({id(tensor.node): tensor for _, tensor in group}.values()):
            part, strides = island.cut_out(whole, size)
            parts.append(part)
            for one in island.tensors:
                moved[id(one.node)] = (at + one.offset - island.first if island.stop else at, strides)
            at += part.length // size
        key = f"{storage.key} part {len(self.edit.payloads)}"
        self.edit.payloads[key] = self._cast_payload(joined(parts), storage, stretch)
        self.users.references[key] += 1
        new = dict[int, Node]()
        for slot, tensor in group:
            node = id(tensor.node)
            if node not in new:
                items = list(storage.id_parts)
                items[CLASS], items[KEY], items[NUMEL] = self.storage_class, atom(key), atom(at)
                new[node] = tensor_ref_on(tensor, Persistent("BINPERSID", None, [new_tuple(*items)]), *moved[node])
            slot.put(new[node])
            self._leave(tensor)

    def _leave(self, tensor: TensorRef) -> None:
        """Count that a tensor has one position less."""
        self.users.edges[id(tensor.node)] -= 1
        if not self.users.edges[id(tensor.node)]:
            self.users.references[tensor.storage.key] -= 1
            self.left.add(tensor.storage.key)

    def _cast_payload(self, payload: Payload, storage: StorageRef, stretch: Stretch) -> Cast:
        dtype, options = storage.dtype, self.options
        return Cast(payload, dtype.name, dtype.size, self.edit.part.big_endian, options.target, options.saturate, stretch)
