"""Persistent ids of a legacy stream, in the form that a zip knows.

A legacy id of a storage has a sixth item, its view metadata, and a class may be an id of its own, `("module", class, file,
source)` (`torch/serialization.py`, `_legacy_save`). Rule: torch reads the same object afterwards; a view becomes a storage
of its own, and the source text of classes goes, since the zip has no place for it.
"""

from ptzip.pickling.nodes import Node, Persistent, Tuple, atom, plain, text, walk
from ptzip.recipes.edit import Edit, Step
from ptzip.source import Slice
from ptzip.tensors.rebuild import KEY, NUMEL, STORAGE_ITEMS, StorageId, storage_id

MODULE_CLASS = 1
"""The place of the class in a class's id."""


def modernise(edit: Edit) -> None:
    """Rewrite the ids of an edit's tree; does nothing where they are those of a zip."""
    for node in edit.checkpoint.pickle.persistents:
        reference = storage_id(node)
        if reference is not None and len(reference.items) > STORAGE_ITEMS:
            _without_view(edit, reference)
    if any(_class_of(node) for node in edit.checkpoint.pickle.persistents):
        _plain_classes(edit)


def _without_view(edit: Edit, reference: StorageId) -> None:
    del reference.items[STORAGE_ITEMS:]
    if reference.view is None:
        return
    key, offset, numel = reference.view
    size = reference.dtype.size
    fresh = f"{reference.key} view {key}"
    reference.items[KEY], reference.items[NUMEL] = atom(fresh), atom(numel)
    edit.payloads[fresh] = Slice(edit.source(reference.key), offset * size, numel * size)


def _plain_classes(edit: Edit) -> None:
    count = 0
    for node in walk(edit.root):
        for holder in (node.parts, *(step.items for step in node.steps)):
            for index, below in enumerate(holder):
                kind = _class_of(below)
                if kind is not None:
                    holder[index] = kind
                    count += 1
    edit.note(Step.OTHER, "classes", f"{count} with their source text became plain names", gain=False)


def _class_of(node: Node) -> Node | None:
    """The class that a persistent id stands for, or None."""
    if not isinstance(node, Persistent) or not isinstance(node.id, Tuple):
        return None
    items = [plain(part) for part in node.id.parts]
    return items[MODULE_CLASS] if len(items) == 4 and text(items[0]) == "module" else None
