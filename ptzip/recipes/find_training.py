"""The search for states of training in everything that a checkpoint holds, weights aside."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Atom, Call, Node, Slot
from ptzip.recipes.training_states import OF_OBJECTS, Training, looks_like_training, training_kind
from ptzip.recipes.weights import find_weights, is_weights
from ptzip.tree.children import NodeChild, node_children
from ptzip.tree.kinds import is_leaf
from ptzip.tree.paths import join_path

MOST_KEYS = 2
"""How many of the keys above a value may say what it is."""


class Found(NamedTuple):
    """A state of training at a path: of the `kind` that it is, or None for what only looks like one. `owner` is the dict that
    can lose its key."""

    path: str
    node: Node
    slot: Slot
    owner: Node | None
    kind: Training | None

    def is_left(self) -> bool:
        """Whether it only looks like a state, still has tensors or objects, and no weights."""
        key = self.path.rpartition(".")[2]
        has_weights = self.kind is None and any(True for _ in find_weights(self.node))
        return not self.kind and not has_weights and looks_like_training(self.node, key)


class Holder(NamedTuple):
    """A node below which states are looked for, its path, and the nearest keys on the way to it."""

    node: Node
    path: str
    keys: tuple[str, ...] = ()


def find_training(root: Node, edit: Edit | None = None) -> Iterator[Found]:
    """Every state of training in an object, none of them inside another or inside what an edit keeps."""
    pending, seen = [Holder(root, "")], set[int]()
    while pending:
        holder = pending.pop()
        if id(holder.node) in seen:
            continue
        seen.add(id(holder.node))
        has_names, below = is_weights(holder.node), list[Holder]()
        for child in node_children(holder.node):
            if isinstance(child.value, Atom) or (has_names and (is_leaf(child.value) or child.part == "_metadata")):
                continue
            found, inner = _examined(holder, child, edit)
            below += [inner] if inner is not None else []
            if found is not None:
                yield found
        pending += reversed(below)


def _examined(holder: Holder, child: NodeChild, edit: Edit | None) -> tuple[Found | None, Holder | None]:
    """What a child of a node is, and the child itself, where states may be below it."""
    part = child.part or ""
    path = join_path(holder.path, part) if part else holder.path
    if edit is not None and edit.keep.match(path):
        return None, None
    is_name = bool(part) and not part.isdigit()
    keys = (part, *holder.keys)[:MOST_KEYS] if is_name else holder.keys
    kind = training_kind(child.value, keys)
    if child.owner is None and isinstance(holder.node, Call) and kind not in OF_OBJECTS:
        kind = None
    if kind is not None and child.slot is not None:
        return Found(path, child.value, child.slot, child.owner, kind), None
    inner = None if is_leaf(child.value) else Holder(child.value, path, keys)
    is_like = child.slot is not None and is_name and looks_like_training(child.value, part)
    return (Found(path, child.value, child.slot, child.owner, None) if is_like and child.slot else None), inner
