"""What a user asks for by path: values to be taken out, and values to be set.

Rule: what is asked for is done though nothing is gained by it, and a pattern that matches nothing is told of.
"""

from collections.abc import Iterator

from ptzip.editing.account import category_of
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.globs import Patterns
from ptzip.pickling.new_nodes import assign, atom, take_out
from ptzip.pickling.nodes import Atom, Call, Dict, Node, Slot
from ptzip.tensors.references import tensor_slot
from ptzip.tree.children import node_at, node_paths

Value = str | int | float | bool | None


def drop(edit: Edit, patterns: Patterns) -> None:
    """Take out what matches: a key of a dict goes, any other place is None afterwards."""
    everywhere = list(_paths(edit.root, patterns)) if patterns else []
    found = {_position(slot): (path, slot, owner) for path, slot, owner in everywhere if patterns.match(path)}
    edit.gone.update(path for path, slot, _ in everywhere if _position(slot) in found)
    for path, slot, owner in reversed(list(found.values())):  # the last of a dict first, so that the others keep their indices
        value = slot.node
        if owner is not None:
            take_out(owner, slot)
        elif isinstance(value, Atom) and value.value is None:
            continue
        else:
            slot.put(atom(None))
        edit.drop(category_of(path), path, value, "removed" if owner else "None", gain=True)
    edit.warnings += [f"--drop {pattern} matches nothing" for pattern in sorted(patterns.unused)]


def _paths(root: Node, patterns: Patterns) -> Iterator[tuple[str, Slot, Node | None]]:
    """Everything that an edit can replace, with its path and the dict that has it as the value of a key."""
    for path, child in node_paths(root, closed=patterns):
        if child.slot is not None:
            yield path, child.slot, child.owner


def _position(slot: Slot) -> tuple[int, int]:
    return id(slot.holder), slot.index


def put(edit: Edit, path: str, value: Value) -> None:
    """Set the value at a path, or a new key of a dict that is there. Raises EditError where there is no such place."""
    found = node_at(edit.root, path)
    if found is not None and found.slot is not None:
        _replace(edit, path, found.slot, value)
        return
    above, _, key = path.rpartition(".")
    holder = _holder(edit.root, above)
    if holder is None or not key:
        raise EditError(f"{path} cannot be set: there is no dict at {above or 'the top'}")
    assign(holder, key, atom(value))
    edit.note(category_of(path), path, repr(value))


def _replace(edit: Edit, path: str, slot: Slot, value: Value) -> None:
    before = slot.node
    if isinstance(before, Atom):
        is_same = before.value == value or (before.value != before.value and value != value)  # NaN is NaN
        if not is_same or type(before.value) is not type(value):
            slot.put(atom(value))
            edit.note(category_of(path), path, repr(value))
        return
    slot.put(atom(value))
    edit.drop(category_of(path), path, before, repr(value))


def _holder(root: Node, path: str) -> Node | None:
    """The dict at a path."""
    found = node_at(root, path)
    is_dict = found is not None and isinstance(found.value, Dict | Call) and not _is_other(found.value)
    return found.value if found is not None and is_dict else None


def _is_other(node: Node) -> bool:
    """Whether a call is not one that makes a dict."""
    return isinstance(node, Call) and node.path not in ("collections.OrderedDict", "collections.defaultdict")


def spared(edit: Edit, patterns: Patterns) -> set[int]:
    """The tensors at or below the paths that match, by the identity of their nodes."""
    found = matching(edit.root, patterns)
    edit.warnings += [f"--keep-float32 {pattern} matches nothing" for pattern in sorted(patterns.unused)]
    return found


def matching(root: Node, patterns: Patterns) -> set[int]:
    """The same, for patterns that need not match."""
    from_here = [slot for path, slot, _ in _paths(root, patterns) if patterns.match(path)] if patterns else []
    below = [child.slot for slot in from_here for _, child in node_paths(slot.node) if child.slot]
    return {id(tensor_slot(slot).node) for slot in (*from_here, *below)}
