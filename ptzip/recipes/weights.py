"""Weights wherever they are in a checkpoint: modules, state dicts, and lists of weights."""

import re
from collections.abc import Iterator

from ptzip.pickling.nodes import Call, Dict, List, Node, Persistent, Tuple, item_slots, lookup
from ptzip.recipes.recipe import is_state_dict, names
from ptzip.tensors.references import tensor_ref, tensor_slot
from ptzip.tree.below import Below
from ptzip.tree.children import keyed_children
from ptzip.tree.kinds import is_leaf
from ptzip.tree.modules import attributes, is_module
from ptzip.tree.paths import TOP

WEIGHTS = re.compile(
    r".*((weight|bias)(_\w+)?|running_mean|running_var|gamma|beta|kernel|embeddings?|scale|in_proj_\w+|lora_\w+|pos_embed|cls_token)"
)
"""The name of at least one tensor of almost every state dict; those of `nn.LSTM` are as `weight_ih_l0`."""

VERSIONS = "_metadata"
"""The attribute of every dict that `module.state_dict()` returns (`torch/nn/modules/module.py`), whatever its names."""

WEIGHT_LISTS = re.compile(r"(\w+_)?(ema|shadow|params|parameters|weights)(_\w+)?")
"""Keys above lists of weights, as `torch_ema` and diffusers keep averages in `shadow_params`."""

AVERAGES = re.compile(r"(?i)(.*_)?(ema|swa|shadow|averaged?|avg|moving)(_.*)?|averaged?model")
"""Parts of the paths of averaged weights."""


def find_weights(root: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    """The modules, state dicts and lists of weights in an object, whose own path is `above`, with their paths, none of them
    inside another."""
    pending, seen, has_tensors = (
        [(TOP.below(above or None), "", root)],
        set[int](),
        Below(lambda node: isinstance(node, Persistent)),
    )
    while pending:
        path, key, node = pending.pop()
        if id(node) in seen or is_leaf(node):
            continue
        seen.add(id(node))
        if (is_module(node) and has_tensors(node)) or is_weights(node) or (WEIGHT_LISTS.fullmatch(key) and _are_weights(node)):
            yield str(path), node
        else:
            keys = reversed(list(_entries(node)))
            pending += [(path.below(name), key if isinstance(node, List | Tuple) else name, below) for name, below in keys]


def weights_below() -> Below:
    """Answers whether there are weights at or below the nodes of a tree, of lists of weights those anywhere below their key."""
    has_tensors, has_lists = Below(lambda node: isinstance(node, Persistent)), Below(_are_weights)

    def fits(node: Node) -> bool:
        return (
            (is_module(node) and has_tensors(node))
            or is_weights(node)
            or any(WEIGHT_LISTS.fullmatch(key) and has_lists(value) for key, value in _entries(node))
        )

    return Below(fits)


def is_weights(node: Node) -> bool:
    """Whether a node is a state dict of a module, by one of its names or by what `state_dict()` adds."""
    return is_state_dict(node) and (lookup(attributes(node), VERSIONS) is not None or any(map(WEIGHTS.fullmatch, names(node))))


def _are_weights(node: Node) -> bool:
    """Whether a node is a list of tensors of floats."""
    slots = list(item_slots(node)) if isinstance(node, List | Tuple) else []
    found = [tensor_ref(tensor_slot(slot).node) for slot in slots]
    return bool(found) and all(tensor is not None and tensor.storage.dtype.casts for tensor in found)


def _entries(node: Node) -> Iterator[tuple[str, Node]]:
    """The values of a dict, the attributes of an object, and the items of a list or tuple."""
    for holder in (node, attributes(node)) if isinstance(node, Call) else (node,):
        if isinstance(holder, Dict | Call):
            yield from ((child.part or "", child.value) for child in keyed_children(holder) if child.slot)
    if isinstance(node, List | Tuple):
        yield from ((str(index), slot.node) for index, slot in enumerate(item_slots(node)))


def is_average(path: str) -> bool:
    """Whether a part of the path of weights says that they are averages."""
    return any(map(AVERAGES.fullmatch, path.split(".")))
