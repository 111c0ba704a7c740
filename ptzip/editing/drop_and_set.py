"""`--drop`, `--set` and `--keep-float32`: changes at the paths that a user names.

They are made even where they save nothing, and a pattern that matches nothing is a warning.
"""

from collections.abc import Iterable, Iterator

from ptzip.editing.account import category_of
from ptzip.editing.edit import Edit, is_none
from ptzip.errors import EditError
from ptzip.globs import Patterns
from ptzip.pickling.new_nodes import assign, atom, literal, take_out_all
from ptzip.pickling.nodes import Atom, Call, Dict, Node, Slot
from ptzip.tensors.references import tensor_slot
from ptzip.tree.children import nearest_path, node_at, node_children, node_paths

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
"""What JSON has."""


def drop(edit: Edit, globs: Iterable[str]) -> None:
    """Remove what matches: a key of a dict is removed, anything else becomes None."""
    patterns = Patterns(globs)
    found = ((path, slot, owner) for path, slot, owner in _replaceable(edit, patterns) if patterns.match(path))
    matching = {_position(slot): (path, slot, owner) for path, slot, owner in found}
    if matching:
        everywhere = _replaceable(edit, patterns)
        edit.account.removed_paths.update(path for path, slot, _ in everywhere if _position(slot) in matching)
    emptied: dict[int, tuple[Node, list[Slot]]] = {}
    for path, slot, owner in reversed(list(matching.values())):
        value = slot.node
        if owner is not None:
            emptied.setdefault(id(owner), (owner, []))[1].append(slot)
        elif is_none(value):
            continue
        else:
            slot.put(atom(None))
        edit.account.removed(category_of(path), path, [value], "removed" if owner else "None", gain=True)
    for owner, slots in emptied.values():
        take_out_all(owner, slots)
    _warn_of_unused(edit, "--drop", patterns)


def set_value(edit: Edit, path: str, value: Value) -> None:
    """Set the value at a path, or a new key of an existing dict. Raises EditError where there is neither."""
    found = node_at(edit.root, path)
    if found is not None and found.slot is not None:
        _replace(edit, path, found.slot, value)
        return
    above, _, key = path.rpartition(".")
    holder = node_at(edit.root, above)
    if holder is None or not key or not _is_dict(holder.value):
        raise EditError(f"cannot set {path}: there is no dict at {above or 'the top level'}")
    hint = nearest_path(edit.root, path)
    edit.account.warnings.append(f"--set {path}: there was no such key, so it is added{hint}")
    assign(holder.value, key, literal(value))
    edit.account.change(category_of(path), path, repr(value))


def tensors_at(edit: Edit, globs: Iterable[str], option: str = "") -> set[int]:
    """The tensors at or below the paths that match, by the identity of their nodes.

    A pattern that matches nothing is a warning that names the option, if it is given.
    """
    patterns = Patterns(globs)
    found = ((path, slot) for path, slot, _ in _replaceable(edit, patterns) if patterns.match(path))
    slots = [slot for _, slot in found]
    tensors = {id(tensor_slot(slot).node) for slot in slots}
    pending, seen = [slot.node for slot in slots], set[int]()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            below = node_children(node)
            tensors.update(id(tensor_slot(child.slot).node) for child in below if child.slot)
            pending += [child.value for child in below]
    if option:
        _warn_of_unused(edit, option, patterns)
    return tensors


def _replaceable(edit: Edit, patterns: Patterns) -> Iterator[tuple[str, Slot, Node | None]]:
    """Everything that an edit can replace, except below matches: its path, its slot, and the dict that has it under a key.

    What a function is given is not replaced, nor anything below it: None there makes a file that torch cannot load.
    """
    fixed = ""
    for path, child in node_paths(edit.root, closed=patterns, most=edit.most_paths) if patterns else ():
        if fixed and path.startswith(f"{fixed}."):
            continue
        fixed = path if child.slot is None else ""
        if child.slot is not None:
            yield path, child.slot, child.owner


def _position(slot: Slot) -> tuple[int, int]:
    return id(slot.holder), slot.index


def _replace(edit: Edit, path: str, slot: Slot, value: Value) -> None:
    before = slot.node
    if not isinstance(before, Atom):
        slot.put(literal(value))
        edit.account.removed(category_of(path), path, [before], repr(value))
        return
    is_equal = before.value == value or (before.value != before.value and value != value)  # NaN is NaN
    if not is_equal or type(before.value) is not type(value):
        slot.put(literal(value))
        edit.account.change(category_of(path), path, repr(value))


def _is_dict(node: Node) -> bool:
    return isinstance(node, Dict) or (
        isinstance(node, Call) and node.path in ("collections.OrderedDict", "collections.defaultdict")
    )


def _warn_of_unused(edit: Edit, option: str, patterns: Patterns) -> None:
    edit.account.warnings += [
        f"{option} {pattern} matches nothing{nearest_path(edit.root, pattern)}" for pattern in sorted(patterns.unused)
    ]
