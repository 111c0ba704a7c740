"""What happens to each top-level key, as a dry run shows it.

Rule: bytes are those of the input, so that the column adds up to what there was.
"""

from collections.abc import Iterator

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Change
from ptzip.pickling.nodes import Atom, Node, Persistent, walk_unordered
from ptzip.slimming.report import Key
from ptzip.tensors.references import storage_ref
from ptzip.tree.children import keyed_children

KEPT, OBJECT = "kept", "(object)"


def keys(before: Checkpoint, changes: tuple[Change, ...]) -> tuple[Key, ...]:
    """The keys of an unedited checkpoint, and what an edit did to them; one row, where the object itself is weights."""
    if any(not change.path for change in changes):
        return (Key(OBJECT, _fate("", changes), sum(size for _, size in _sizes(before))),)
    return tuple(Key(name, _fate(name, changes), size) for name, size in _sizes(before))


def _fate(name: str, changes: tuple[Change, ...]) -> str:
    """All that was done to a key; first what was done to it as a whole."""
    mine = [change for change in changes if change.path == name or f"{change.path}.".startswith(f"{name}." if name else "")]
    whole = [change.what for change in mine if change.path == name]
    inner = len(mine) - len(whole)
    return "; ".join([*whole, *([f"{inner} changes inside"] if inner else [])]) or KEPT


def _sizes(checkpoint: Checkpoint) -> Iterator[tuple[str, int]]:
    """The bytes below each key, each storage once, for the first key that has it."""
    seen, storages = set[int](), checkpoint.storages
    counted = set[str]()
    for child in keyed_children(checkpoint.root):
        used, texts = _below(child.value, seen)
        yield child.part or "", texts + sum(storages[one].size for one in used - counted)
        counted |= used


def _below(value: Node, seen: set[int]) -> tuple[set[str], int]:
    """The storages and the bytes of texts below a node that were not met before."""
    used, texts = set[str](), 0
    for node in walk_unordered(value, seen):
        reference = storage_ref(node) if isinstance(node, Persistent) else None
        if reference is not None:
            used.add(reference.key)
        elif isinstance(node, Atom) and isinstance(node.arg, str | bytes):
            texts += len(node.arg)
    return used, texts
