"""What a recipe is, and what recipes share: how to recognise parts of a layout, and edits that several frameworks need."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Tuple, lookup, pairs, plain, text
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import REQUIRES_GRAD, parameter_arguments
from ptzip.tree.children import NodeChild, node_children
from ptzip.tree.kinds import is_tensor
from ptzip.tree.modules import is_module, parameter_slots
from ptzip.tree.paths import TOP, join_path, walk

Weights = Callable[[Node], Iterable[tuple[str, Node]]]
"""Finds the modules and dicts of tensors that are cast, with their paths."""


def under(*keys: str) -> Weights:
    """The weights under some top-level keys."""

    def find(root: Node) -> list[tuple[str, Node]]:
        return [(key, found) for key in keys if (found := lookup(root, key)) is not None]

    return find


MODEL = under("model")


class Recipe(NamedTuple):
    """`matches` recognises the layout from the tree, never from a file name; `drop` removes what only training needs; `weights`
    are then cast, except what matches the globs of `keep_float32`. `is_half` is whether modules are cast as `module.half()`
    does it, tensor by tensor, since the framework's own stripper does; otherwise what shares a storage still shares one.
    `may_lack_weights` is whether a file without any is slimmed too; `needed` are top-level keys below which the loader asks for
    what looks like states of training."""

    name: str
    summary: str
    matches: Callable[[Node], bool]
    drop: Callable[[Edit], None]
    weights: Weights = MODEL
    keep_float32: tuple[str, ...] = ()
    is_half: bool = False
    may_lack_weights: bool = False
    needed: tuple[str, ...] = ()


# Layouts


def has(root: Node, *keys: str) -> bool:
    """Whether a dict has all keys."""
    return all(lookup(root, key) is not None for key in keys)


def is_state_dict(node: Node | None) -> bool:
    """Whether a node is a dict of tensors by text, as `module.state_dict()` is; less than half may be other values."""
    if not isinstance(node, Dict | Call):
        return False
    entries = list(pairs(node))
    count = sum(_is_of_state(value) for _, value in entries)
    return 2 * count > len(entries) and all(text(key) is not None for key, _ in entries)


def _is_of_state(value: Node) -> bool:
    """Whether modules have such a value in their state: a tensor of any kind, or as torch.ao a dtype, or weight and bias in a
    tuple."""
    if isinstance(value, Tuple):
        return any(is_tensor(plain(part)) for part in value.parts)
    return is_tensor(value) or (isinstance(value, Global) and value.path.removeprefix("torch.") in BY_NAME)


def is_optimizer(node: Node | None) -> bool:
    """Whether a node is `optimizer.state_dict()`: `state` by parameter, and `param_groups` (`torch/optim/optimizer.py`)."""
    groups = lookup(node, "param_groups") if isinstance(node, Dict | Call) else None
    return isinstance(groups, List) and isinstance(lookup(node, "state"), Dict | Call)


def is_flat_optimizer(node: Node) -> bool:
    """Whether a node is the state of an optimizer by dotted names, `state.NAME.KEY` and `param_groups.NAME.KEY`
    (`torch/distributed/checkpoint/state_dict.py`, `flatten_optimizer_state_dict`)."""
    found = [text(key) or "" for key, _ in pairs(node)] if isinstance(node, Dict | Call) else []
    has_groups = any(name.startswith("param_groups.") for name in found)
    return has_groups and all(name.startswith(("state.", "param_groups.")) for name in found)


def names(node: Node) -> list[str]:
    """The texts among the keys of a dict."""
    return [name for key, _ in pairs(node) if (name := text(key)) is not None]


# Edits


def promoted_model(edit: Edit) -> Node:
    """The module to keep as `model`: that of the EMA, which replaces it where there is one and the edit uses averages.

    Raises EditError where neither is a pickled module.
    """
    average, model = lookup(edit.root, "ema"), lookup(edit.root, "model")
    if edit.ema and average is not None and is_module(average):
        edit.replace("model", average, "ema")
        return average
    if model is None or not is_module(model):
        raise EditError("there is no pickled module under the keys model and ema, which this recipe needs")
    return model


def freeze(edit: Edit, root: Node) -> None:
    """Set `requires_grad` of every parameter to False."""
    frozen = 0
    for slot in parameter_slots(root):
        arguments = parameter_arguments(slot.node)
        flag = arguments[REQUIRES_GRAD] if len(arguments) > REQUIRES_GRAD else None
        if isinstance(flag, Atom) and flag.value is True:
            arguments[REQUIRES_GRAD] = atom(False)
            frozen += 1
    if frozen:
        edit.account.change(Category.OTHER, "model", f"requires_grad of {frozen} parameters to False", gain=False)


def empty_optimizers(edit: Edit, node: Node | None, path: str, why: str) -> None:
    """Empty the `state` of each optimizer in dicts and lists, for a loader that needs their keys: as before the first step."""
    what = f"emptied; its key stays, since {why}"
    for above, optimizer in _optimizers(node, path):
        if (momentum := lookup(optimizer, "state")) is not None:
            edit.remove_matching(momentum, join_path(above, "state"), lambda _: True, Category.OPTIMIZER, what)


def _optimizers(node: Node | None, path: str) -> list[tuple[str, Node]]:
    """The optimizers in dicts and lists, with their paths; of one in several positions the first."""
    if node is None or is_optimizer(node):
        return [(path, node)] if node is not None else []
    below = walk(node, _contents, TOP.below(path), is_wanted=is_optimizer, is_named_once=lambda _: True)
    return [(str(found), child.value) for found, child in below]


def _contents(node: Node) -> list[NodeChild]:
    return node_children(node) if isinstance(node, Dict | Call | List) and not is_optimizer(node) else []


def use_live_weights(edit: Edit, live_key: str, prefix: str = "") -> None:
    """Replace the averaged weights in `state_dict` by the live ones under another key, unless the edit uses averages."""
    state, live = lookup(edit.root, "state_dict"), lookup(edit.root, live_key)
    if not edit.ema and state is not None and live is not None:
        edit.replace_items(state, "state_dict", live, live_key, lambda name: prefix + name, "the live ones")
