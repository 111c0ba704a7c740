"""Which tensors become float16, decided reference by reference as `module.half()` decides it.

`half()` makes a new tensor of each parameter and each buffer that holds floats and leaves plain attributes alone, so of two
tensors on one float32 storage one may become float16 while the other stays. Rule: a storage is cast where it is if the
tensor is its only user; otherwise the tensor moves to a storage of its own, which holds the part that it uses.
"""

from collections import Counter
from collections.abc import Iterable

from ptzip.editing.edit import Edit, Step
from ptzip.editing.heads import head_slots
from ptzip.editing.modules import buffer_slots, is_module, parameter_slots
from ptzip.errors import FormatError
from ptzip.pickling.nodes import (
    Call,
    Dict,
    Node,
    Persistent,
    Slot,
    Tuple,
    atom,
    children,
    lookup,
    named,
    pair_slots,
    reach,
)
from ptzip.source import Payload, Slice
from ptzip.tensors.cast import CASTABLE, Cast
from ptzip.tensors.dtypes import BY_NAME, DType
from ptzip.tensors.rebuild import (
    CLASS,
    KEY,
    NUMEL,
    StorageId,
    Tensor,
    storage_id,
    tensor,
    tensor_slot,
    view,
)

HALF = BY_NAME["float16"]
COUNTED = (Call, Persistent)


class Halving:
    """The casts of one edit. It counts the references of the tree as it finds it, so it comes after all removals."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.half = named("torch", HALF.storage)
        self.uses: dict[int, int] = {}
        self.references: Counter[str] = Counter()
        self.count = 0
        for node in reach(edit.root):
            for below in children(node):
                if type(below) in COUNTED:
                    self.uses[id(below)] = self.uses.get(id(below), 0) + 1
            if isinstance(node, Persistent) and (reference := storage_id(node)):
                self.references[reference.key] += 1

    def each(self, slots: Iterable[Slot]) -> None:
        """The tensors at some places, each on its own."""
        for slot in slots:
            self.one(tensor_slot(slot))

    def one(self, slot: Slot) -> None:
        found = tensor(slot.node)
        if found is None or found.storage.dtype.name not in CASTABLE:
            return
        self.count += 1
        if self._is_alone(found):
            self._recast(found.storage)
        else:
            self._split(slot, found)

    def tied(self, slots: Iterable[Slot]) -> None:
        """The tensors at some places, those on one storage together, so that what was shared stays shared."""
        groups: dict[str, list[tuple[Slot, Tensor]]] = {}
        for slot in map(tensor_slot, slots):
            found = tensor(slot.node)
            if found is not None and found.storage.dtype.name in CASTABLE:
                groups.setdefault(found.storage.key, []).append((slot, found))
        for key, group in groups.items():
            ids = {id(found.storage.node): found.storage for _, found in group}
            here = Counter(id(found.node) for _, found in group)
            if len(ids) == self.references[key] and all(self.uses[node] <= count for node, count in here.items()):
                self.count += len(group)
                for reference in ids.values():
                    self._recast(reference)
            else:
                self.each(slot for slot, _ in group)

    def _is_alone(self, found: Tensor) -> bool:
        """Whether nothing but this tensor uses the storage, and it uses all of it."""
        reference = found.storage
        return (
            self.uses[id(found.node)] <= 1
            and self.uses[id(reference.node)] <= 1
            and self.references[reference.key] == 1
            and found.span == (0, reference.numel)
        )

    def _recast(self, reference: StorageId) -> None:
        """Another class in the id, a cast around the payload; the key stays."""
        reference.items[CLASS] = self.half
        payload = self.edit.payload(reference.key)
        if not isinstance(payload, Cast):
            self.edit.payloads[reference.key] = self._cast(payload, reference.dtype)

    def _split(self, slot: Slot, found: Tensor) -> None:
        """A new storage for what this tensor uses, and a new tensor on it in this slot only."""
        reference, (first, stop) = found.storage, found.span
        if stop > reference.numel:
            raise FormatError(f"a tensor reaches past its storage {reference.key}", found.node.offset)
        size = reference.dtype.size
        part = Slice(self.edit.payload(reference.key), first * size, (stop - first) * size)
        key = f"{reference.key} part {len(self.edit.payloads)}"
        self.edit.payloads[key] = self._cast(part, reference.dtype)
        items = list(reference.items)
        items[CLASS], items[KEY], items[NUMEL] = self.half, atom(key), atom(stop - first)
        slot.put(view(found, Persistent("BINPERSID", None, [Tuple("TUPLE", None, items)]), 0))
        self.references[key] += 1
        self.uses[id(found.node)] -= 1
        if not self.uses[id(found.node)]:
            self.references[reference.key] -= 1

    def _cast(self, payload: Payload, dtype: DType) -> Cast:
        return Cast(payload, dtype.name, dtype.size, self.edit.checkpoint.main.big_endian)


def halve(edit: Edit) -> None:
    """Cast what `model.half()` would cast: of a module its parameters and buffers, then what the framework adds to those.

    Where `model` is a dict of tensors instead, all of them, and what was tied stays tied.
    """
    model = lookup(edit.root, "model")
    if model is None:
        return
    halving = Halving(edit)
    if is_module(model):
        for slots in (parameter_slots(model), buffer_slots(model), head_slots(model)):
            halving.each(slots)
    else:
        halving.tied(tensor_slots(model))
    edit.used = {key for key, count in halving.references.items() if count}
    if halving.count:
        edit.note(Step.HALF, "model", f"{halving.count} tensors to float16")


def tensor_slots(weights: Node | None) -> list[Slot]:
    """The places of the tensors in a dict of them; none where it is no such dict."""
    if not isinstance(weights, Dict | Call):
        return []
    return [slot for _, slot in pair_slots(weights) if tensor(tensor_slot(slot).node)]
