"""What old streams spell otherwise, in the form that today's do: persistent ids, and the ordered dicts of Python 2.

A legacy id of a storage has a sixth item, its view metadata, and a class may be an id of its own, `("module", class, file,
source)` (`torch/serialization.py`, `_legacy_save`). Rule: torch reads the same object afterwards; a view becomes a storage
of its own, and the source text of classes goes, since the zip has no place for it.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import FormatError
from ptzip.formats.torchzip import TorchZip
from ptzip.io.payloads import SlicePayload
from ptzip.pickling.new_nodes import atom, filled
from ptzip.pickling.nodes import PUTS, Call, List, Persistent, Tuple, item_slots, plain, walk, walk_unordered
from ptzip.tensors.references import KEY, NUMEL, STORAGE_ITEMS, StorageRef, class_ref, storage_ref


def modernise(edit: Edit) -> None:
    """Rewrite the ids of an edit's tree; does nothing where they are those of a zip."""
    is_old_stream = not isinstance(edit.checkpoint.container, TorchZip)
    if not is_old_stream and not any(map(_is_old, edit.checkpoint.pickle.persistents)):
        return
    for node in list(walk_unordered(edit.root)):
        reference = storage_ref(node)
        if reference is not None and len(reference.id_parts) > STORAGE_ITEMS:
            _without_view(edit, reference)
        elif is_old_stream and isinstance(node, Call) and node.path == "collections.OrderedDict" and len(node.arguments) == 1:
            _filled(node)
    _plain_classes(edit)


def _is_old(node: Persistent) -> bool:
    """Whether a persistent id is of a class, or has more items than that of a storage in a zip."""
    parts = node.id.parts if node.parts and isinstance(node.id, Tuple) else []
    return len(parts) != STORAGE_ITEMS


def _filled(call: Call) -> None:
    """`OrderedDict([[key, value], ...])`, as Python 2 spells it, becomes an empty one that is filled."""
    listed = plain(call.arguments[0])
    pairs = [slot.node for slot in item_slots(listed)] if isinstance(listed, List) else []
    items = [[slot.node for slot in item_slots(pair)] for pair in pairs]
    if items and all(len(pair) == 2 for pair in items):
        call.parts[1] = Tuple("EMPTY_TUPLE")
        place = 1 if call.steps and call.steps[0].op in PUTS else 0
        call.steps = [*call.steps[:place], filled([one for pair in items for one in pair]), *call.steps[place:]]


def _without_view(edit: Edit, reference: StorageRef) -> None:
    del reference.id_parts[STORAGE_ITEMS:]
    if reference.view is None:
        return
    key, offset, numel = reference.view
    size = reference.dtype.size
    if not 0 <= offset <= offset + numel <= reference.numel:
        raise FormatError(f"storage {key} reaches past storage {reference.key}, of which it is a view", reference.node.offset)
    fresh = f"{reference.key} view {key}"
    reference.id_parts[KEY], reference.id_parts[NUMEL] = atom(fresh), atom(numel)
    edit.payloads[fresh] = SlicePayload(edit.source(reference.key), offset * size, numel * size)


def _plain_classes(edit: Edit) -> None:
    count = 0
    for node in walk(edit.root):
        for holder in (node.parts, *(step.items for step in node.steps)):
            for index, below in enumerate(holder):
                kind = class_ref(below)
                if kind is not None:
                    holder[index] = kind
                    count += 1
    if count:
        edit.note(Category.OTHER, "classes", f"{count} with their source text became plain names", gain=False)
