"""Any other checkpoint: the state of a training is removed, everything else stays.

A value is removed only if both its key and its form say what it is; with the form alone it is kept, with a warning. Nothing
inside a state dict or a module is looked at.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit, is_none
from ptzip.pickling.nodes import (
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
from ptzip.recipes.recipe import Recipe, is_optimizer, is_state_dict, names
from ptzip.recipes.transformers_trainer import hint
from ptzip.tensors.references import tensor_ref
from ptzip.tree.children import keyed_children
from ptzip.tree.kinds import is_leaf
from ptzip.tree.modules import is_module
from ptzip.tree.paths import join_path

MAX_DEPTH = 3
"""How many dicts inside one another are searched for states of training."""

WEIGHTS = re.compile(
    r".*(weight|bias|running_mean|running_var|gamma|beta|kernel|embeddings?|scale|weight_[gv]|in_proj_\w+|lora_\w+|pos_embed|cls_token)"
)
"""The name of at least one tensor of every state dict."""

RNG_STATE_BYTES = frozenset((16, 44, 816, 5048, 5056, 816040, 824000))
"""The sizes of the states of torch's generators: CUDA, MPS, old versions of CUDA, the CPU before 1.8 and since."""


# Forms


def _one_or_several(form: Callable[[Node], bool]) -> Callable[[Node], bool]:
    """A form, or a list or dict of nothing else."""

    def check(node: Node) -> bool:
        if form(node):
            return True
        inner = [slot.node for slot in item_slots(node)] if isinstance(node, List | Tuple) else []
        inner += [value for _, value in pairs(node)] if isinstance(node, Dict) else []
        return bool(inner) and all(map(form, inner))

    return check


def _is_scheduler(node: Node) -> bool:
    """The state of a scheduler (`torch/optim/lr_scheduler.py`), which has no tensors."""
    return _count(node, "last_epoch", "_step_count", "base_lrs", "_last_lr") >= 2 and not _has_tensors(node)


def _is_scaler(node: Node) -> bool:
    """The state of a `GradScaler` (`torch/amp/grad_scaler.py`), or of apex's `amp`."""
    is_torch = _count(node, "growth_factor", "_growth_tracker", "scale") >= 2
    return (is_torch or _count(node, "loss_scaler0") == 1) and not _has_tensors(node)


def _is_random_state(node: Node) -> bool:
    """A state of torch (bytes), of numpy (its name, then numbers) or of Python (a version, then 625 numbers)."""
    tensor = tensor_ref(node)
    if tensor is not None:
        return tensor.storage.dtype.name == "uint8" and len(tensor.shape) == 1 and tensor.shape[0] in RNG_STATE_BYTES
    items = [slot.node for slot in item_slots(node)] if isinstance(node, Tuple) else []
    is_numpy = len(items) == 5 and text(items[0]) == "MT19937"
    is_python = len(items) == 3 and isinstance(items[1], Tuple) and len(items[1].parts) == 625
    return is_numpy or is_python


def _are_callbacks(node: Node) -> bool:
    """The states of callbacks by their names: plain values, and nothing that could be weights or code."""
    calls = (one for one in walk_unordered(node) if isinstance(one, Call))
    return isinstance(node, Dict) and all(call.path == "collections.OrderedDict" for call in calls)


def _count(node: Node, *keys: str) -> int:
    """How many of some keys a dict has."""
    return sum(lookup(node, key) is not None for key in keys) if isinstance(node, Dict | Call) else 0


def _has_tensors(node: Node) -> bool:
    return any(isinstance(one, Persistent) for one in walk_unordered(node))


class Training(NamedTuple):
    """A kind of state of training: the pattern of its keys, and its form."""

    what: str
    category: Category
    key: re.Pattern[str]
    form: Callable[[Node], bool]


def _containing(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?i).*({pattern}).*")


OPTIMIZER = Training(
    "the state of an optimizer", Category.OPTIMIZER, _containing(r"opt|solver|adam|sgd"), _one_or_several(is_optimizer)
)
KINDS = (
    OPTIMIZER,
    Training("the state of a scheduler", Category.OTHER, _containing(r"sched|lr"), _one_or_several(_is_scheduler)),
    Training("the state of a gradient scaler", Category.OTHER, _containing(r"scaler|amp|fp16"), _one_or_several(_is_scaler)),
    Training(
        "a random state",
        Category.OTHER,
        _containing(r"rng|rand(om)?_?states?|generator_states?|random"),
        _one_or_several(_is_random_state),
    ),
    Training("the states of callbacks", Category.OTHER, re.compile(r"callbacks?(_states?)?"), _are_callbacks),
)


# The recipe


class Found(NamedTuple):
    """A state of training under a key of a dict, whose own path is `above`; `is_sure` where its key says so too."""

    holder: Node
    above: str
    key: str
    kind: Training
    is_sure: bool


def _find_training(root: Node) -> Iterator[Found]:
    """Every state of training in the dicts of an object that are not weights."""
    pending, seen = [("", root, 0)], set[int]()
    while pending:
        above, holder, depth = pending.pop()
        if id(holder) in seen or not isinstance(holder, Dict | Call) or _is_weights(holder):
            continue
        seen.add(id(holder))
        for key, value in pairs(holder):
            name = text(key)
            if name is None or is_none(value):
                continue
            kind = _kind(value, name, above.rpartition(".")[2])
            if kind is not None:
                yield Found(holder, above, name, kind, is_sure=True)
            elif is_optimizer(value):
                yield Found(holder, above, name, OPTIMIZER, is_sure=False)
            elif depth < MAX_DEPTH and isinstance(value, Dict) and not is_module(value):
                pending.append((join_path(above, name), value, depth + 1))


def _kind(value: Node, *keys: str) -> Training | None:
    """The kind of state that both a value and one of the keys above it say it is."""
    return next((kind for kind in KINDS if any(map(kind.key.fullmatch, keys)) and kind.form(value)), None)


def drop(edit: Edit) -> None:
    if is_state_dict(edit.root):
        hint(edit)
    for holder, above, key, kind, is_sure in list(_find_training(edit.root)):
        if is_sure:
            edit.remove_from(holder, above, key, kind.category, f"removed, {kind.what}")
        else:
            path = join_path(above, key)
            edit.account.warnings.append(
                f"{path} looks like the state of an optimizer, and was kept (--drop {path} removes it)"
            )


def weights(root: Node) -> Iterator[tuple[str, Node]]:
    """The modules and state dicts in an object, with their paths, none of them inside another."""
    pending, seen = [("", root)], set[int]()
    while pending:
        path, node = pending.pop()
        if id(node) in seen or is_leaf(node):
            continue
        seen.add(id(node))
        if is_module(node) or _is_weights(node):
            yield path, node
        else:
            pending += [(join_path(path, name), below) for name, below in reversed(list(_entries(node)))]


def _is_weights(node: Node) -> bool:
    return is_state_dict(node) and any(map(WEIGHTS.fullmatch, names(node)))


def _entries(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Dict | Call):
        yield from ((child.part or "", child.value) for child in keyed_children(node) if child.slot)
    if isinstance(node, List | Tuple):
        yield from ((str(index), slot.node) for index, slot in enumerate(item_slots(node)))


def matches(root: Node) -> bool:
    """Any file with weights."""
    return any(True for _ in weights(root))


RECIPE = Recipe("generic", "any other: removes what key and form say is a state of training", matches, drop, weights)
