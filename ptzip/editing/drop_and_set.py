"""What a user asks for by path: values to be taken out, and values to be set.

Rule: what is asked for is done though nothing is gained by it, and a pattern that matches nothing is told of.
"""

from ptzip.editing.changes import step_of
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.globs import Patterns
from ptzip.pickling.new_nodes import assign, atom, take_out
from ptzip.pickling.nodes import Atom, Call, Dict, Node
from ptzip.tensors.references import tensor_slot
from ptzip.tree.paths import Place, place_at, places

Value = str | int | float | bool | None


def drop(edit: Edit, patterns: Patterns) -> None:
    """Take out what matches: a key of a dict goes, any other place is None afterwards."""
    everywhere = list(places(edit.root, leave=patterns)) if patterns else []
    found = [place for place in everywhere if patterns.match(place.path)]
    slots = {(id(place.slot.holder), place.slot.index) for place in found}
    edit.gone.update(place.path for place in everywhere if (id(place.slot.holder), place.slot.index) in slots)
    unique = {(id(place.slot.holder), place.slot.index): place for place in found}
    for place in reversed(list(unique.values())):  # the last of a dict first, so that the places of the others stay
        value = place.slot.node
        if isinstance(value, Atom) and value.value is None and place.dict is None:
            continue
        _take_out(place)
        edit.drop(step_of(place.path), place.path, value, "removed" if place.dict else "None", gain=True)
    edit.warnings += [f"--drop {pattern} matches nothing" for pattern in sorted(patterns.unused)]


def _take_out(place: Place) -> None:
    if place.dict is not None:
        take_out(place.dict, place.slot)
    else:
        place.slot.put(atom(None))


def put(edit: Edit, path: str, value: Value) -> None:
    """Set the value at a path, or a new key of a dict that is there. Raises EditError where there is no such place."""
    place = place_at(edit.root, path)
    if place is not None:
        _replace(edit, place, value)
        return
    above, _, key = path.rpartition(".")
    holder = _holder(edit.root, above)
    if holder is None or not key:
        raise EditError(f"{path} cannot be set: there is no dict at {above or 'the top'}")
    assign(holder, key, atom(value))
    edit.note(step_of(path), path, repr(value))


def _replace(edit: Edit, place: Place, value: Value) -> None:
    before = place.slot.node
    if isinstance(before, Atom):
        is_same = before.value == value or (before.value != before.value and value != value)  # NaN is NaN
        if not is_same or type(before.value) is not type(value):
            place.slot.put(atom(value))
            edit.note(step_of(place.path), place.path, repr(value))
        return
    place.slot.put(atom(value))
    edit.drop(step_of(place.path), place.path, before, repr(value))


def _holder(root: Node, path: str) -> Node | None:
    """The dict at a path."""
    found = root
    if path:
        place = place_at(root, path)
        if place is None:
            return None
        found = place.slot.node
    return found if isinstance(found, Dict | Call) and not _is_other(found) else None


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
    from_here = [place for place in places(root, leave=patterns) if patterns.match(place.path)] if patterns else []
    below = [inner for place in from_here for inner in places(place.slot.node)]
    return {id(tensor_slot(place.slot).node) for place in (*from_here, *below)}
