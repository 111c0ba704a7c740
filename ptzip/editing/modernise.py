"""Old spellings of persistent ids and ordered dicts, rewritten as today's torch spells them.

A legacy id of a storage has a sixth item, its view metadata, and a class may have an id of its own, `("module", class, file,
source)` (`torch/serialization.py`, `_legacy_save`). torch reads the same object afterwards. A view becomes a storage of its
own; the source text of classes is dropped, since the zip format has no record for it.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import FormatError
from ptzip.io.payloads import SlicePayload
from ptzip.pickling.new_nodes import atom, filled, replace_below
from ptzip.pickling.nodes import PUTS, Call, List, Persistent, Tuple, item_slots, plain, walk_unordered
from ptzip.tensors.references import KEY, NUMEL, STORAGE_ITEMS, StorageRef, class_ref, storage_ref


def modernise(edit: Edit, is_zip: bool) -> None:
    """Rewrite old spellings in the tree of an edit; in a zip only ids can be old, and mostly none is."""
    if is_zip and not any(map(_is_old, edit.part.pickle.persistents)):
        return
    for node in list(walk_unordered(edit.root)):
        reference = storage_ref(node)
        if reference is not None and len(reference.id_parts) > STORAGE_ITEMS:
            _replace_view(edit, reference)
        elif not is_zip and isinstance(node, Call) and node.path == "collections.OrderedDict" and len(node.arguments) == 1:
            _fill(node)
    _replace_class_ids(edit)


def _is_old(node: Persistent) -> bool:
    """Whether a persistent id is not that of a storage in a zip: of a class, or with view metadata."""
    parts = node.id.parts if node.parts and isinstance(node.id, Tuple) else []
    return len(parts) != STORAGE_ITEMS


def _fill(call: Call) -> None:
    """Make `OrderedDict([[key, value], ...])`, as Python 2 spells it, an empty one that is then filled."""
    listed = plain(call.arguments[0])
    pairs = [slot.node for slot in item_slots(listed)] if isinstance(listed, List) else []
    items = [[slot.node for slot in item_slots(pair)] for pair in pairs]
    if items and all(len(pair) == 2 for pair in items):
        call.parts[1] = Tuple("EMPTY_TUPLE")
        index = 1 if call.steps and call.steps[0].op in PUTS else 0
        call.steps = [*call.steps[:index], filled([one for pair in items for one in pair]), *call.steps[index:]]


def _replace_view(edit: Edit, reference: StorageRef) -> None:
    """Drop the view metadata of an id, whose storage becomes a copy of the part that it viewed."""
    del reference.id_parts[STORAGE_ITEMS:]
    if reference.view is None:
        return
    key, offset, numel = reference.view
    size = reference.dtype.size
    if not 0 <= offset <= offset + numel <= reference.numel:
        raise FormatError(
            f"storage {key} is a view of elements {offset} to {offset + numel} of storage {reference.key}, "
            f"which has {reference.numel}",
            reference.node.offset,
        )
    new_key = f"{reference.key} view {key}"
    reference.id_parts[KEY], reference.id_parts[NUMEL] = atom(new_key), atom(numel)
    edit.payloads[new_key] = SlicePayload(edit.payload(reference.key), offset * size, numel * size)


def _replace_class_ids(edit: Edit) -> None:
    names = [name for node in walk_unordered(edit.root) if (name := class_ref(node)) is not None]
    if names:
        replace_below([edit.root], class_ref)
        what = f"{len(names)} with their source text became plain names"
        edit.account.change(Category.OTHER, "classes", what, gain=False)
