"""What layouts have in common, for recipes to tell theirs by.

Rule: a layout is told by keys and the form of values, never by a file's name.
"""

from collections.abc import Iterable

from ptzip.editing.cast_weights import tensor_slots
from ptzip.pickling.nodes import Call, Dict, List, Node, lookup, pairs, text


def has(root: Node, *keys: str) -> bool:
    """Whether all keys are there."""
    return all(lookup(root, key) is not None for key in keys)


def is_state_dict(node: Node | None) -> bool:
    """Whether a node is a dict of tensors by text, as a module's `state_dict()` is; a few other values may be in it."""
    if not isinstance(node, Dict | Call):
        return False
    keys = [key for key, _ in pairs(node)]
    return 2 * len(tensor_slots(node)) > len(keys) and all(text(key) is not None for key in keys)


def is_optimizer(node: Node | None) -> bool:
    """Whether a node is `optimizer.state_dict()`: `state` by parameter, and `param_groups` (`torch/optim/optimizer.py`)."""
    groups = lookup(node, "param_groups") if isinstance(node, Dict | Call) else None
    return isinstance(groups, List) and isinstance(lookup(node, "state"), Dict | Call)


def names(node: Node) -> Iterable[str]:
    """The texts among the keys of a dict."""
    return [name for key, _ in pairs(node) if (name := text(key)) is not None]
