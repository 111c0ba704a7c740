"""Dead bytes: what a storage holds beside the tensors on it, as a view that was saved brings its whole storage along.

Rule: all tensors of a storage are looked at together and stay on one storage, and what they hold stays in the order it had;
a storage that anything else refers to is left alone.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ptzip.editing.account import Category, Cut
from ptzip.editing.edit import Edit
from ptzip.editing.storage_users import Uses
from ptzip.io.payloads import JoinedPayload, Payload, SlicePayload
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Node, Tuple
from ptzip.tensors.blocks import UsedElements
from ptzip.tensors.references import NUMEL, OFFSET, STRIDE, StorageRef, TensorRef


class Island(NamedTuple):
    """Elements from `first` to before `stop` that tensors use, and those tensors; none of them reaches into another island."""

    first: int
    stop: int
    tensors: list[TensorRef]


Cuts = dict[str, list[Cut]]


def trim(edit: Edit, uses: Uses, tensors: Mapping[str, list[TensorRef]]) -> Cuts:
    """Take the bytes that no tensor uses out of some storages; `tensors` are all that use them, by key.

    Returns what is left of those that were cut.
    """
    found = {key: islands(on_it) for key, on_it in tensors.items() if on_it}
    cuts = {key: cut for key, lands in found.items() if (cut := _cuts(lands, uses.ids[key]))}
    saved = sum(_cut(edit, key, cut, found[key], uses.ids[key]) for key, cut in cuts.items())
    if saved:
        edit.reduce(Category.DEAD, saved)
        edit.note(Category.DEAD, "storages", f"{len(cuts)} cut to what tensors use of them")
    return cuts


def _cuts(found: list[Island], ids: list[StorageRef]) -> list[Cut]:
    """What is to be left of a storage; nothing where it stays as it is."""
    at, cuts = 0, list[Cut]()
    for island in found:
        cuts.append(Cut(island.first, island.stop, at, _length(island)))
        at += cuts[-1].length
    is_odd = any(reference.dtype != ids[0].dtype for reference in ids) or cuts[-1].stop > _numel(ids)
    return [] if at >= _numel(ids) or is_odd else cuts


def _cut(edit: Edit, key: str, cuts: list[Cut], found: list[Island], ids: list[StorageRef]) -> int:
    """The bytes that are saved of one storage, once it was cut."""
    payload, size, before = edit.payload(key), ids[0].dtype.size, _numel(ids)
    parts = [_moved(island, payload, cut.at, size) for island, cut in zip(found, cuts, strict=True)]
    edit.payloads[key] = joined(parts)
    left = cuts[-1].at + cuts[-1].length
    for reference in ids:
        reference.id_parts[NUMEL] = atom(left)
    return (before - left) * size


def _numel(ids: list[StorageRef]) -> int:
    return min(reference.numel for reference in ids)


def joined(parts: list[Payload]) -> Payload:
    return parts[0] if len(parts) == 1 else JoinedPayload(tuple(parts))


def islands(tensors: Iterable[TensorRef]) -> list[Island]:
    """What the tensors of one storage use, in order."""
    found = list[Island]()
    for one in sorted(tensors, key=lambda one: one.span):
        first, stop = one.span
        if found and first < found[-1].stop:
            found[-1] = Island(found[-1].first, max(stop, found[-1].stop), [*found[-1].tensors, one])
        else:
            found.append(Island(first, stop, [one]))
    return found


def _length(island: Island) -> int:
    return math.prod(_steps(island)) if _has_gaps(island) else island.stop - island.first


def _steps(island: Island) -> tuple[int, ...]:
    """The sizes of the dimensions along which a tensor has different elements."""
    shape, stride = island.tensors[0].shape, island.tensors[0].stride
    return tuple(size for size, step in zip(shape, stride, strict=True) if step)


def _has_gaps(island: Island) -> bool:
    """Whether all tensors of an island are the same view, no element of it twice, and with others between its own."""
    one = island.tensors[0]
    if any((other.offset, other.shape, other.stride) != (one.offset, one.shape, one.stride) for other in island.tensors):
        return False
    inner = 1
    for step, size in sorted(zip(one.stride, one.shape, strict=True)):
        if step and size > 1:
            if step < inner:
                return False
            inner = step * size
    return math.prod(_steps(island)) < island.stop - island.first


def _moved(island: Island, payload: Payload, at: int, size: int) -> Payload:
    """The bytes of an island; its tensors are told that it begins at element `at` now."""
    part, strides = cut_out(island, payload, size)
    places = {id(one.node.arguments): (one.node.arguments, one.offset) for one in island.tensors}
    for arguments, offset in places.values():
        arguments[OFFSET] = atom(at + (offset - island.first if island.stop else 0))
        if strides is not None:
            arguments[STRIDE] = strides
    return part


def cut_out(island: Island, payload: Payload, size: int) -> tuple[Payload, Node | None]:
    """The bytes of an island in a payload, and the strides of its tensors in them, where those are others now."""
    part, one = SlicePayload(payload, island.first * size, (island.stop - island.first) * size), island.tensors[0]
    if not _has_gaps(island):
        return part, None
    strides = Tuple("TUPLE", None, [atom(step) for step in _close(one.shape, one.stride)])
    return UsedElements(part, size, one.shape, one.stride), strides


def _close(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """Strides without gaps, in the same order of dimensions."""
    steps, step = [0] * len(shape), 1
    for place in sorted(range(len(shape)), key=lambda place: (stride[place], -place)):
        if stride[place]:
            steps[place] = step
            step *= shape[place]
    return tuple(steps)
