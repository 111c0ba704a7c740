"""Any other checkpoint: what is plainly the state of a training goes, all else stays.

Rule: something is dropped only if both its key and its form say what it is. What has the form alone is kept, with a warning;
what is part of a state dict or a module is never looked at.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    List,
    Node,
    Persistent,
    Tuple,
    item_slots,
    lookup,
    pairs,
    text,
    walk_unordered,
)
from ptzip.recipes.layouts import is_optimizer, is_state_dict, names
from ptzip.recipes.recipe import Recipe
from ptzip.recipes.transformers_trainer import hint
from ptzip.tensors.references import tensor_ref
from ptzip.tree.children import keyed_children
from ptzip.tree.kinds import is_leaf
from ptzip.tree.modules import is_module

MOST_DEEP = 3
"""Dicts in one another that are looked into."""

WEIGHTS = re.compile(
    r".*(weight|bias|running_mean|running_var|gamma|beta|kernel|embeddings?|scale|weight_[gv]|in_proj_\w+|lora_\w+|pos_embed|cls_token)"
)
"""How at least one tensor of a state dict is called."""


class Kind(NamedTuple):
    """A state of training: what its keys are like, and its form."""

    what: str
    category: Category
    key: re.Pattern[str]
    form: Callable[[Node], bool]


def _all(form: Callable[[Node], bool]) -> Callable[[Node], bool]:
    """A form, or a list or dict of nothing else, as several optimizers are."""

    def check(node: Node) -> bool:
        if form(node):
            return True
        inner = [slot.node for slot in item_slots(node)] if isinstance(node, List | Tuple) else []
        inner += [value for _, value in pairs(node)] if isinstance(node, Dict) else []
        return bool(inner) and all(form(one) for one in inner)

    return check


def _has(node: Node, count: int, *keys: str) -> bool:
    """Whether so many of these keys are there."""
    return isinstance(node, Dict | Call) and sum(lookup(node, key) is not None for key in keys) >= count


def _is_scheduler(node: Node) -> bool:
    """The state of a scheduler (`torch/optim/lr_scheduler.py`), which has no tensors."""
    return _has(node, 2, "last_epoch", "_step_count", "base_lrs", "_last_lr") and not _has_tensors(node)


def _is_scaler(node: Node) -> bool:
    """The state of a `GradScaler` (`torch/amp/grad_scaler.py`), or of apex's `amp`."""
    is_own = _has(node, 2, "growth_factor", "_growth_tracker", "scale")
    return (is_own or _has(node, 1, "loss_scaler0")) and not _has_tensors(node)


def _has_tensors(node: Node) -> bool:
    return any(isinstance(one, Persistent) for one in walk_unordered(node))


STATE_BYTES = frozenset((16, 44, 816, 5048, 5056, 816040, 824000))
"""How long the states of torch's generators are: of CUDA, MPS, old CUDA, the CPU before 1.8 and since."""


def _is_random(node: Node) -> bool:
    """A state of torch (bytes), of numpy (its name, then numbers) or of Python (a version, then 625 numbers)."""
    found = tensor_ref(node)
    if found is not None:
        return found.storage.dtype.name == "uint8" and len(found.shape) == 1 and found.shape[0] in STATE_BYTES
    items = [slot.node for slot in item_slots(node)] if isinstance(node, Tuple) else []
    is_numpy = len(items) == 5 and text(items[0]) == "MT19937"
    is_python = len(items) == 3 and isinstance(items[1], Tuple) and len(items[1].parts) == 625
    return is_numpy or is_python


def _is_callbacks(node: Node) -> bool:
    """The states of callbacks by their names: plain values, and nothing that could be weights or code."""
    plainly = not any(isinstance(one, Call) and one.path != "collections.OrderedDict" for one in walk_unordered(node))
    return isinstance(node, Dict) and plainly


def _key(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?i).*({pattern}).*")


KINDS = (
    Kind("the state of an optimizer", Category.OPTIMIZER, _key(r"opt|solver|adam|sgd"), _all(is_optimizer)),
    Kind("the state of a scheduler", Category.OTHER, _key(r"sched|lr"), _all(_is_scheduler)),
    Kind("the state of a gradient scaler", Category.OTHER, _key(r"scaler|amp|fp16"), _all(_is_scaler)),
    Kind("a random state", Category.OTHER, _key(r"rng|rand(om)?_?states?|generator_states?|random"), _all(_is_random)),
    Kind("the states of callbacks", Category.OTHER, re.compile(r"callbacks?(_states?)?"), _is_callbacks),
)


def weights(root: Node) -> Iterator[tuple[str, Node]]:
    """The modules and state dicts in an object, by their paths, none of them inside another."""
    pending, seen = [("", root)], set[int]()
    while pending:
        path, node = pending.pop()
        if id(node) in seen or is_leaf(node):
            continue
        seen.add(id(node))
        if is_module(node) or _is_weights(node):
            yield path, node
        else:
            pending += [(f"{path}.{name}".lstrip("."), below) for name, below in reversed(list(_entries(node)))]


def _is_weights(node: Node) -> bool:
    return is_state_dict(node) and any(WEIGHTS.fullmatch(name) for name in names(node))


def _entries(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Dict | Call):
        yield from ((child.part or "", child.value) for child in keyed_children(node))
    if isinstance(node, List | Tuple):
        yield from ((str(index), slot.node) for index, slot in enumerate(item_slots(node)))


class Found(NamedTuple):
    """A state of training, the dict that has it, and its key there; `is_sure` where the key says so too."""

    path: str
    holder: Node
    key: str
    kind: Kind
    is_sure: bool


def _training(root: Node) -> Iterator[Found]:
    """What has the form of a state of training, in dicts that are no weights."""
    pending, seen = [("", root, 0)], set[int]()
    while pending:
        above, holder, depth = pending.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        for key, value in pairs(holder) if isinstance(holder, Dict | Call) and not _is_weights(holder) else ():
            name = text(key)
            if name is None or (isinstance(value, Atom) and value.value is None):
                continue
            path = f"{above}.{name}".lstrip(".")
            called = (name, above.rpartition(".")[2])
            kind = next((kind for kind in KINDS if any(map(kind.key.fullmatch, called)) and kind.form(value)), None)
            if kind is not None:
                yield Found(path, holder, name, kind, is_sure=True)
            elif is_optimizer(value):
                yield Found(path, holder, name, KINDS[0], is_sure=False)
            elif depth < MOST_DEEP and isinstance(value, Dict) and not is_module(value):
                pending.append((path, value, depth + 1))


def matches(root: Node) -> bool:
    """Any file in which weights are found."""
    return any(True for _ in weights(root))


def drop(edit: Edit) -> None:
    if is_state_dict(edit.root):
        hint(edit)
    for found in list(_training(edit.root)):
        if found.is_sure:
            edit.take(found.holder, found.key, found.path, found.kind.category, f"removed, {found.kind.what}")
        else:
            edit.warnings.append(f"{found.path} has the form of an optimizer's state, and was kept (--drop {found.path})")


RECIPE = Recipe("generic", "any other: what key and form say is a state of training goes", matches, drop, weights)
