"""A pickled `nn.Module`: its parameters, buffers, child modules and other attributes.

A module is recognized by its state, a dict with `_modules`, never by its class, which may be unknown.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Node,
    Slot,
    Tuple,
    item_slots,
    lookup,
    pair_slots,
    plain,
    slot_of,
    state,
    text,
)
from ptzip.tensors.references import tensor_slot
from ptzip.tree.paths import PathCount, walk

UNNAMED = frozenset({"_parameters", "_buffers", "_modules"})
"""The dicts of a module that add nothing to a path."""


def attributes(node: Node) -> Node | None:
    """The `__dict__` of a pickled object, or None; with `__slots__` it is the first of the two dicts of the state."""
    built = state(node)
    if isinstance(built, Tuple) and built.parts:
        built = plain(built.parts[0])
    return built if isinstance(built, Dict) else None


def is_module(node: Node | None) -> bool:
    """Whether a node is a pickled `nn.Module`."""
    return isinstance(node, Call) and lookup(attributes(node), "_modules") is not None


def attribute(module: Node, name: str) -> Slot | None:
    """The slot of an attribute, or None."""
    found = attributes(module)
    return slot_of(found, name) if found is not None else None


def child(module: Node, name: str) -> Node | None:
    """A child module by its name."""
    return lookup(lookup(attributes(module), "_modules"), name)


def last_child(module: Node) -> Node | None:
    """The last child of a module, as `module[-1]` of a Sequential."""
    children = named_slots(module, "_modules")
    return children[-1][1].node if children else None


def modules(root: Node, seen: set[int] | None = None) -> Iterator[Node]:
    """A module and all below it, each once, in the order of `nn.Module.modules()`; those with ids in `seen` are skipped."""
    seen = set() if seen is None else seen
    pending = [root]
    while pending:
        module = pending.pop()
        if id(module) not in seen and is_module(module):
            seen.add(id(module))
            yield module
            pending += [slot.node for _, slot in reversed(named_slots(module, "_modules"))]


def parameter_slots(root: Node, seen: set[int] | None = None) -> Iterator[Slot]:
    """The slots of all parameters of `modules`; of a parameter that several modules share, only the first."""
    found: set[int] = set()
    for module in modules(root, seen):
        for _, slot in named_slots(module, "_parameters"):
            if id(slot.node) not in found:
                found.add(id(slot.node))
                yield slot


def buffer_slots(root: Node, seen: set[int] | None = None) -> Iterator[Slot]:
    """The slots of all buffers of `modules`."""
    for module in modules(root, seen):
        yield from (slot for _, slot in named_slots(module, "_buffers"))


def named_slots(module: Node, container: str) -> list[tuple[str, Slot]]:
    """The entries of one of the dicts of a module, as far as their keys are text."""
    held = lookup(attributes(module), container)
    return [(name, slot) for key, slot in pair_slots(held) if (name := text(key)) is not None] if held is not None else []


class StateChild(NamedTuple):
    """A tensor or a child module of a module, by its name."""

    part: str
    value: Node


def state_dict(root: Node, most: int | PathCount = DEFAULT_LIMITS.paths) -> list[tuple[str, Node]]:
    """The tensors of `module.state_dict()` by name (`torch/nn/modules/module.py`, `_save_to_state_dict`).

    Parameters are the tensors inside them, and buffers that are not persistent are left out. A module inside itself is left out
    there. Raises LimitError where there are more than `most` names, or where they are very long: a module in several positions
    has a name in each.
    """
    found = walk(root, _state_children, most=most, is_wanted=lambda value: not is_module(value))
    return [(str(path), child.value) for path, child in found]


def _state_children(node: Node) -> list[StateChild]:
    """The tensors of a module itself, and its child modules; nothing below a tensor."""
    if not is_module(node):
        return []
    below = [StateChild(name, slot.node) for name, slot in named_slots(node, "_modules") if is_module(slot.node)]
    return [*_own_tensors(node), *below]


def _own_tensors(module: Node) -> Iterator[StateChild]:
    """The parameters of a module, and its persistent buffers."""
    held = lookup(attributes(module), "_non_persistent_buffers_set")
    if isinstance(held, Call) and held.arguments:  # a set below protocol 4
        held = plain(held.arguments[0])
    transient = {text(slot.node) for slot in item_slots(held)} if held is not None else ()
    for container in ("_parameters", "_buffers"):
        for name, slot in named_slots(module, container):
            value = tensor_slot(slot).node
            if not isinstance(value, Atom) and (container == "_parameters" or name not in transient):
                yield StateChild(name, value)


def plain_names(module: Node) -> list[str]:
    """The names of the attributes of a module that are not in its state dict."""
    inside = attributes(module)
    found = [text(key) for key, _ in pair_slots(inside)] if inside is not None else []
    return [name for name in found if name is not None and name not in UNNAMED]
