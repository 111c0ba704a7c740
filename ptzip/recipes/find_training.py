"""The search for states of training in everything that a checkpoint holds, weights aside."""

from collections.abc import Iterator
from typing import NamedTuple, Optional

from ptzip.globs import Patterns
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import Atom, Call, Node, Slot
from ptzip.recipes.training_states import (
    OF_OBJECTS,
    OF_OPTIMIZER,
    ONLY_TRAINING,
    Holdings,
    StatesOfTraining,
    Training,
    is_empty,
)
from ptzip.recipes.weights import is_weights
from ptzip.tensors.references import parameter_arguments, tensor_ref, tensor_slot
from ptzip.tree.children import NodeChild, each_child
from ptzip.tree.kinds import is_leaf
from ptzip.tree.modules import is_module
from ptzip.tree.paths import TOP, Path, PathCount

MOST_KEYS = 2
"""How many of the keys above a value may say what it is."""


class Found(NamedTuple):
    """A state of training at a path: of the `kind` that it is, or None for what only looks like one. `owner` is the dict that
    can lose its key, `inside` the innermost value around it that is found too."""

    path: str
    node: Node
    slot: Slot
    owner: Node | None
    kind: Training | None
    inside: Optional["Found"]

    def is_left(self, holdings: Holdings) -> bool:
        """Whether it was not emptied, and holds no weights unless its form or its key is that of states only."""
        is_surely = self.kind is not None or ONLY_TRAINING.fullmatch(self.path.rpartition(".")[2])
        return holdings.state(self.node) and (bool(is_surely) or not holdings.weights(self.node))


class Holder(NamedTuple):
    """A node below which states are looked for, its path, the nearest keys on the way to it, and what is found around it."""

    node: Node
    path: Path
    keys: tuple[str, ...] = ()
    inside: Found | None = None


def find_training(
    root: Node, keep: Patterns | None = None, in_modules: bool = True, most: int = DEFAULT_LIMITS.paths
) -> Iterator[Found]:
    """Every state of training in an object, none of them inside another or inside what `keep` names.

    Most of a file is modules, so leaving them out is much faster. Raises LimitError where there are more than `most` paths, or
    where they are very long.
    """
    counted = PathCount(most)
    pending, seen, states = [Holder(root, TOP)], set[int](), StatesOfTraining()
    while pending:
        holder = pending.pop()
        if id(holder.node) in seen:
            continue
        seen.add(id(holder.node))
        has_names, below = is_weights(holder.node), list[Holder]()
        children = [child for child in each_child(holder.node) if not isinstance(child.value, Atom)]
        statistics = _statistics(children, states)
        for child in children:
            if has_names and (is_leaf(child.value) or child.part == "_metadata"):
                continue
            path = holder.path.below(child.part or None)
            counted.add(path.length)
            found, inner = _examined(holder, child, path, keep, id(child.value) in statistics, states)
            below += [inner] if inner is not None and (in_modules or not is_module(inner.node)) else []
            if found is not None:
                yield found
        pending += reversed(below)


def _statistics(children: list[NodeChild], states: StatesOfTraining) -> set[int]:
    """Which values are tensors with a row for each row of a parameter, where parameters are beside their optimizer: what a
    training gathers about each row, as 3D Gaussian splatting does to tell which points to split (`GaussianModel.capture`)."""
    slots = [child.slot for child in children if child.slot is not None]
    parameters = [tensor_ref(tensor_slot(slot).node) for slot in slots if parameter_arguments(slot.node)]
    rows = {one.shape[0] for one in parameters if one is not None and one.shape}
    if not rows or not any(states.kind(slot.node) is OF_OPTIMIZER for slot in slots):
        return set()
    tensors = [tensor for slot in slots if (tensor := tensor_ref(slot.node)) is not None]
    return {id(one.node) for one in tensors if one.shape and one.shape[0] in rows and one.storage.dtype.casts}


def _examined(
    holder: Holder, child: NodeChild, path: Path, keep: Patterns | None, is_statistic: bool, states: StatesOfTraining
) -> tuple[Found | None, Holder | None]:
    """What a child of a node is, and the child itself, where states may be below it."""
    part = child.part or ""
    if keep and keep.match(str(path)):
        return None, None
    is_name = bool(part) and not part.isdigit()
    keys = (part, *holder.keys)[:MOST_KEYS] if is_name else holder.keys
    kind = states.kind(child.value, keys)
    if child.owner is None and isinstance(holder.node, Call) and kind not in OF_OBJECTS:
        kind = None
    if kind is not None and child.slot is not None:
        return Found(str(path), child.value, child.slot, child.owner, kind, holder.inside), None
    is_like = is_statistic or (is_name and states.looks_like_training(child.value, part))
    found = Found(str(path), child.value, child.slot, child.owner, None, holder.inside) if is_like and child.slot else None
    has_more = not is_leaf(child.value) and not is_empty(child.value)
    return found, Holder(child.value, path, keys, found or holder.inside) if has_more else None
