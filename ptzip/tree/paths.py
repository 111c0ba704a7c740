"""Every place of a tree by its dotted path, as `inspect` and a state dict call it: `model.model.0.conv.weight`.

    a key of a dict, an index of a list, an attribute of an object: itself, as text
    _modules, _parameters, _buffers of a module: nothing

Rule: a place is where a value stands, so a value that stands in two has two paths; tensors have nothing below them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import LimitError
from ptzip.globs import Patterns
from ptzip.pickling.nodes import Atom, Call, Dict, List, Node, Slot, Tuple, item_slots, pair_slots, plain
from ptzip.tensors.references import parameter_arguments, tensor_ref
from ptzip.text import has_decimal
from ptzip.tree.modules import UNNAMED, attributes, is_module

MOST_PLACES = 2_000_000


class Place(NamedTuple):
    """`dict` is the dict that has it for a key, which can be taken out of it; elsewhere only the value can go."""

    path: str
    slot: Slot
    dict: Node | None = None


def places(root: Node, path: str = "", leave: Patterns | None = None) -> Iterator[Place]:
    """The places below a node, one that holds others before them; below what matches `leave`, none.

    Raises LimitError where there are too many, as in a tree of a few nodes that stand in one another again and again.
    """
    pending: list[tuple[str, Node] | int] = [(path, root)]
    way, count = set[int](), 0
    while pending:
        item = pending.pop()
        if isinstance(item, int):  # everything below a node was seen
            way.discard(item)
            continue
        prefix, node = item
        if id(node) in way:
            continue
        found = list(_right_below(node, f"{prefix}." if prefix else ""))
        yield from found
        count += len(found)
        if count > MOST_PLACES:
            raise LimitError(f"the object has more than {MOST_PLACES} places")
        way.add(id(node))
        pending.append(id(node))
        pending += [(place.path, place.slot.node) for place in reversed(found) if _goes_on(place, leave)]


def _goes_on(place: Place, leave: Patterns | None) -> bool:
    """Whether what is below a place is looked at, too."""
    return not is_leaf(place.slot.node) and not (leave and leave.match(place.path))


def is_leaf(node: Node) -> bool:
    """Whether a node is a plain value or a tensor, which have nothing below them."""
    return isinstance(node, Atom) or bool(parameter_arguments(node)) or tensor_ref(node) is not None


def _right_below(node: Node, prefix: str) -> Iterator[Place]:
    if isinstance(node, Dict | Call):
        yield from (Place(f"{prefix}{key_name(key)}", slot, node) for key, slot in pair_slots(node))
    if isinstance(node, List | Tuple | Call):
        yield from (Place(f"{prefix}{index}", slot) for index, slot in enumerate(item_slots(node)))
    inside = attributes(node) if isinstance(node, Call) else None
    if inside is not None:
        is_nameless = is_module(node)
        for key, slot in pair_slots(inside):
            name = key_name(key)
            if is_nameless and name in UNNAMED:
                held = pair_slots(slot.node)
                yield from (Place(f"{prefix}{key_name(inner)}", member) for inner, member in held)
            else:
                yield Place(f"{prefix}{name}", slot)


def key_name(key: Node) -> str:
    """A key as a part of a path; "?" where it is no plain value, or a number too long to be spelled."""
    found = plain(key)
    return str(found.value) if isinstance(found, Atom) and has_decimal(found.value) else "?"


def place_at(root: Node, path: str) -> Place | None:
    """The place with exactly this path, if there is one."""
    return next((place for place in places(root) if place.path == path), None)
