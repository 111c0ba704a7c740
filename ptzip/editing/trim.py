"""Trimming of dead bytes: elements of a storage that no tensor uses, as when a view was saved with its whole storage.

All tensors of a storage are trimmed together: they stay on one storage, and their elements in the same order. A storage with
any other user stays as it is.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Cut, Edit
from ptzip.editing.storage_users import StorageUsers
from ptzip.io.payloads import JoinedPayload, Payload, SlicePayload
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Node, Tuple
from ptzip.tensors.blocks import UsedElements
from ptzip.tensors.references import NUMEL, OFFSET, STRIDE, StorageRef, TensorRef


class Island(NamedTuple):
    """Elements from `first` to before `stop` that overlapping tensors use, and those tensors."""

    first: int
    stop: int
    tensors: list[TensorRef]

    @property
    def used(self) -> int:
        """The elements to keep: without gaps, where all tensors are the same view that has some."""
        return math.prod(self._dimensions()) if self.has_gaps else self.stop - self.first

    @property
    def has_gaps(self) -> bool:
        """Whether all tensors are the same view, with no element at two indices and unused elements between its own."""
        first = self.tensors[0]
        if any((one.offset, one.shape, one.stride) != (first.offset, first.shape, first.stride) for one in self.tensors):
            return False
        inner = 1
        for step, size in sorted(zip(first.stride, first.shape, strict=True)):
            if step and size > 1:
                if step < inner:
                    return False
                inner = step * size
        return math.prod(self._dimensions()) < self.stop - self.first

    def _dimensions(self) -> tuple[int, ...]:
        """The sizes of the dimensions along which the first tensor has different elements."""
        first = self.tensors[0]
        return tuple(size for size, step in zip(first.shape, first.stride, strict=True) if step)

    def cut_out(self, payload: Payload, size: int) -> tuple[Payload, Node | None]:
        """Its bytes in a payload of elements of `size` bytes, and the new strides of its tensors, if they change."""
        part = SlicePayload(payload, self.first * size, (self.stop - self.first) * size)
        if not self.has_gaps:
            return part, None
        first = self.tensors[0]
        steps, step = [0] * len(first.shape), 1
        for axis in sorted(range(len(first.shape)), key=lambda axis: (first.stride[axis], -axis)):
            if first.stride[axis]:
                steps[axis] = step
                step *= first.shape[axis]
        return UsedElements(part, size, first.shape, first.stride), Tuple("TUPLE", None, list(map(atom, steps)))


def islands(tensors: Iterable[TensorRef]) -> list[Island]:
    """The islands of the tensors of one storage, in order."""
    found = list[Island]()
    for one in sorted(tensors, key=lambda one: one.span):
        first, stop = one.span
        if found and first < found[-1].stop:
            found[-1].tensors.append(one)
            found[-1] = found[-1]._replace(stop=max(stop, found[-1].stop))
        else:
            found.append(Island(first, stop, [one]))
    return found


def trim(edit: Edit, users: StorageUsers, tensors: Mapping[str, list[TensorRef]]) -> dict[str, list[Cut]]:
    """Trim storages, given by key with all tensors that use them. Returns the cuts of those that became smaller."""
    all_cuts, saved = dict[str, list[Cut]](), 0
    for key, on_storage in tensors.items():
        found, ids = islands(on_storage), users.ids[key]
        cuts = _cuts(found, ids)
        if cuts:
            all_cuts[key] = cuts
            saved += _trim_storage(edit, key, cuts, found, ids)
    if saved:
        edit.account.reductions[Category.DEAD] += saved
        edit.account.change(Category.DEAD, "storages", f"{len(all_cuts)} cut to what tensors use of them")
    return all_cuts


def _cuts(found: list[Island], ids: list[StorageRef]) -> list[Cut]:
    """What to keep of a storage; nothing where it stays as it is."""
    at, cuts, numel = 0, list[Cut](), _numel(ids)
    for island in found:
        cuts.append(Cut(island.first, island.stop, at, island.used))
        at += island.used
    has_other_dtype = any(reference.dtype != ids[0].dtype for reference in ids)
    return [] if not cuts or at >= numel or cuts[-1].stop > numel or has_other_dtype else cuts


def _trim_storage(edit: Edit, key: str, cuts: list[Cut], found: list[Island], ids: list[StorageRef]) -> int:
    """Replace the payload, the offsets and strides of its tensors, and the length in its ids. Returns the bytes saved."""
    payload, size, before = edit.payload(key), ids[0].dtype.size, _numel(ids)
    parts = list[Payload]()
    for island, cut in zip(found, cuts, strict=True):
        part, strides = island.cut_out(payload, size)
        parts.append(part)
        for arguments, offset in {id(one.arguments): (one.arguments, one.offset) for one in island.tensors}.values():
            arguments[OFFSET] = atom(cut.at + (offset - island.first if island.stop else 0))
            if strides is not None:
                arguments[STRIDE] = strides
    edit.payloads[key] = joined(parts)
    after = cuts[-1].at + cuts[-1].length
    for reference in ids:
        reference.id_parts[NUMEL] = atom(after)
    return (before - after) * size


def _numel(ids: list[StorageRef]) -> int:
    return min(reference.numel for reference in ids)


def joined(parts: list[Payload]) -> Payload:
    return parts[0] if len(parts) == 1 else JoinedPayload(tuple(parts))
