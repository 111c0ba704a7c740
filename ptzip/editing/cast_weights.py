"""Which tensors are cast: what shares a storage is cast together or not at all, so that it still shares one afterwards.

The exception are modules that a framework's own stripper casts by `module.half()`. That makes a new tensor of every parameter
and buffer that holds floats and leaves plain attributes alone, so of two tensors on one float32 storage one may become
float16 while the other stays. There a storage is cast where it is if nothing but the tensor to be cast uses it; otherwise
that tensor moves to a new storage that holds the part that it uses.

The floats of a module with quantised weights are not cast (`quantised`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.quantised import companions
from ptzip.editing.storage_users import StorageUsers
from ptzip.editing.trim import Island
from ptzip.editing.yolo_heads import head_slots
from ptzip.errors import FormatError
from ptzip.io.payloads import Payload
from ptzip.pickling.new_nodes import atom, named, new_tuple
from ptzip.pickling.nodes import Call, Dict, List, Node, Persistent, Slot, Tuple, item_slots, pair_slots
from ptzip.tensors.cast import CAST_SIZE, Cast, Stretch
from ptzip.tensors.dtypes import BY_NAME, DTYPES
from ptzip.tensors.references import CLASS, KEY, NUMEL, StorageRef, TensorRef, tensor_ref, tensor_ref_on, tensor_slot
from ptzip.tensors.strides import check_copies
from ptzip.tree.modules import buffer_slots, is_module, parameter_slots


class CastOptions(NamedTuple):
    """`target` is float16 or bfloat16; `is_named` whether somebody asked for it, so that 16-bit floats are cast too. `excluded`
    are tensors to leave alone, by the identity of their nodes, `overflowing` the stretches of storages that keep their dtype
    since values in them are beyond the range of the target. `is_half` is whether modules are cast tensor by tensor."""

    target: str = "float16"
    is_named: bool = False
    saturate: bool = False
    excluded: Collection[int] = frozenset()
    overflowing: Collection[Stretch] = frozenset()
    is_half: bool = False

    @property
    def castable(self) -> set[str]:
        """The dtypes that are cast: 16-bit floats only where somebody asked for the target."""
        return {one.name for one in DTYPES if self.target in one.casts and (self.is_named or one.size > CAST_SIZE)}


def cast_weights(edit: Edit, users: StorageUsers, weights: Iterable[tuple[str, Node]], options: CastOptions) -> set[str]:
    """Cast `weights`, given with their paths: all tensors of a dict, or the parameters and buffers of a module and the
    attributes that its framework casts too. Returns the keys of the storages that tensors moved away from and that are
    still used.
    """
    weights = list(weights)
    caster = Caster(edit, users, options, companions(root for _, root in weights))
    seen = set[int](), set[int]()
    for path, root in weights:
        is_half = options.is_half and is_module(root)
        for slot in map(tensor_slot, _slots(root, *seen)):
            tensor = caster.tensor_to_cast(slot, path)
            if tensor is not None and is_half:
                caster.cast_one(slot, tensor, path)
            elif tensor is not None:
                caster.wanted.setdefault(tensor.storage.key, []).append((path, tensor))
    caster.cast_wanted()
    caster.report()
    return caster.left & users.used()


def _slots(root: Node, *seen: set[int]) -> Iterator[Slot]:
    """The slots of the tensors to cast; `seen` are the modules whose parameters, and whose buffers, were found before."""
    if is_module(root):
        yield from (*parameter_slots(root, seen[0]), *buffer_slots(root, seen[1]), *head_slots(root))
    else:
        yield from tensor_slots(root)


def tensor_slots(weights: Node | None) -> list[Slot]:
    """The slots of the tensors in a dict, a list or a tuple, parameters included; none where `weights` is anything else."""
    if not isinstance(weights, Dict | Call | List | Tuple):
        return []
    slots = item_slots(weights) if isinstance(weights, List | Tuple) else (slot for _, slot in pair_slots(weights))
    return [slot for slot in slots if tensor_ref(tensor_slot(slot).node)]


class Caster:
    """The casts of one edit. Removals come before, since whether a storage is shared depends on all of its users.

    `companions` are the tensors of modules with quantised weights, by the identity of their nodes.
    """

    def __init__(self, edit: Edit, users: StorageUsers, options: CastOptions, companions: set[int]) -> None:
        self.edit = edit
        self.users = users
        self.options = options
        self.companions = companions
        self.castable = options.castable
        self.storage_class = named("torch", BY_NAME[options.target].storage)
        self.wanted = dict[str, list[tuple[str, TensorRef]]]()
        """The tensors to be cast together, with the paths of their weights, by the keys of their storages."""
        self.cast, self.kept = Counter[str](), Counter[str]()
        """How many tensors were cast, and how many companions were not, by the paths of the weights."""
        self.stored, self.moved = sum(edit.account.sizes.values()), 0
        """The bytes of all storages, and those of tensors that were moved to storages of their own."""
        self.sharing = self.stuck = 0
        """How many other tensors were cast since they share storages, and how many were not for that reason."""
        self.left = set[str]()
        """The keys of storages that a tensor moved away from."""

    def tensor_to_cast(self, slot: Slot, path: str) -> TensorRef | None:
        tensor = self.users.parsed.get(id(slot.node))
        if tensor is None or tensor.storage.key in self.edit.cuts or tensor.storage.id_parts[CLASS] is self.storage_class:
            tensor = tensor_ref(slot.node)  # not parsed before, or changed since
        if tensor is None or id(slot.node) in self.options.excluded or tensor.storage.dtype.name not in self.castable:
            return None
        if id(slot.node) in self.companions:
            self.kept[path] += 1
            return None
        return tensor

    def cast_wanted(self) -> None:
        """Cast the storages of the wanted tensors, each with all tensors on it or not at all."""
        staying = {*self.options.excluded, *self.companions}
        for key, found in self.wanted.items():
            storage = found[0][1].storage
            stretch = Stretch(key, 0, storage.numel)
            if not self._can_be_cast(storage, staying):
                self.stuck += len(found)
            elif stretch not in self.options.overflowing:
                self.cast.update(path for path, _ in found)
                self.sharing += len(self.users.tensors[key]) - len({id(tensor.node) for _, tensor in found})
                self._cast_in_place(storage, stretch, self.users.ids[key])

    def _can_be_cast(self, storage: StorageRef, staying: set[int]) -> bool:
        """Whether tensors alone use a storage, all of its dtype, and none of them is to stay."""
        tensors = self.users.tensors.get(storage.key, [])
        has_one_dtype = all(reference.dtype == storage.dtype for reference in self.users.ids[storage.key])
        return bool(tensors) and has_one_dtype and not any(id(one.node) in staying for one in tensors)

    def cast_one(self, slot: Slot, tensor: TensorRef, path: str) -> None:
        """Cast the tensor in a slot on its own, whatever else is on its storage: where it is, or moved to a new storage."""
        storage = tensor.storage
        is_only_user = (
            self.users.edges[id(tensor.node)] <= 1
            and self.users.edges[id(storage.node)] <= 1
            and self.users.references[storage.key] == 1
            and tensor.span == (0, storage.numel)
        )
        stretch = Stretch(storage.key, *tensor.span)
        if stretch in self.options.overflowing:
            return
        self.cast[path] += 1
        if is_only_user:
            self._cast_in_place(storage, stretch, [storage])
        else:
            self._move(slot, tensor, stretch)

    def _cast_in_place(self, storage: StorageRef, stretch: Stretch, ids: Iterable[StorageRef]) -> None:
        for reference in ids:
            reference.id_parts[CLASS] = self.storage_class
        self.edit.payloads[storage.key] = self._cast_payload(self.edit.payload(storage.key), storage, stretch)

    def _move(self, slot: Slot, tensor: TensorRef, stretch: Stretch) -> None:
        """Move a tensor to a new storage that holds the cast of what it uses, and put the new tensor in its slot."""
        storage, size = tensor.storage, tensor.storage.dtype.size
        if stretch.stop > storage.numel:
            raise FormatError(
                f"a tensor uses elements up to {stretch.stop} of storage {storage.key}, which has {storage.numel}",
                tensor.node.offset,
            )
        part, strides = Island(stretch.first, stretch.stop, [tensor]).cut_out(self.edit.payload(storage.key), size)
        key = f"{storage.key} part {len(self.edit.payloads)}"
        self.moved += part.length
        check_copies(self.moved, self.stored)
        self.edit.payloads[key] = self._cast_payload(part, storage, stretch)
        self.users.references[key] += 1
        self.edit.account.is_split = True
        items = list(storage.id_parts)
        items[CLASS], items[KEY], items[NUMEL] = self.storage_class, atom(key), atom(part.length // size)
        slot.put(tensor_ref_on(tensor, Persistent("BINPERSID", None, [new_tuple(*items)]), 0, strides))
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

    def report(self) -> None:
        account, target = self.edit.account, self.options.target
        for path, count in self.cast.items():
            account.change(Category.HALF, path, f"{count} tensor{'s' if count > 1 else ''} to {target}")
        if self.sharing:
            account.change(
                Category.HALF,
                "storages",
                f"{self.sharing} more tensor{'s' if self.sharing > 1 else ''} to {target}, which share them",
            )
        account.companions = self.kept.total()
        for path, count in self.kept.items():
            where = f" in {path}" if path else ""
            what = "companions" if count > 1 else "companion"
            account.notes.append(f"not cast{where}: {count} {what} of quantised weights, which loaders take as saved")
        if self.stuck:
            what = "tensors that share" if self.stuck > 1 else "tensor that shares"
            account.notes.append(f"not cast: {self.stuck} {what} a storage with what keeps its dtype")
