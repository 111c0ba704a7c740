"""PyTorch Lightning: what is left is what `save_weights_only=True` writes (`checkpoint_connector.py`, `dump_checkpoint`).

Versions, `epoch`, `global_step`, `loops` and hyperparameters stay: loading an old file migrates it, and needs them
(`lightning/pytorch/utilities/migration`). Keys are removed, since None would be taken for a state.
"""

import re

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup, pairs, text
from ptzip.recipes.kept import name_averages
from ptzip.recipes.recipe import Recipe, has, is_state_dict, under, use_live_weights
from ptzip.recipes.weights import find_weights, weights_below

TRAINING = re.compile(
    r"optimizer_states|lr_schedulers|(native_)?amp_scaling_state|current_model_state|averaging_state"
    r"|(checkpoint|early_stop)_callback_.*|\w*Precision(Plugin)?"
)
"""Keys that only training needs; the last are the states of plugins, by their class names."""


def matches(root: Node) -> bool:
    is_named = lookup(root, "pytorch-lightning_version") is not None
    is_old = has(root, "global_step", "optimizer_states")
    return (is_named or is_old) and is_state_dict(lookup(root, "state_dict"))


def drop(edit: Edit) -> None:
    use_live_weights(edit, "current_model_state")  # where `WeightAveraging` keeps them
    edit.remove(*(key for key in edit.keys if TRAINING.fullmatch(key)))
    _drop_callbacks(edit)
    name_averages(edit, [path for path, _ in weights(edit.root)])


def _drop_callbacks(edit: Edit) -> None:
    """Without the states of callbacks, except those that hold weights: averages of `StochasticWeightAveraging`."""
    callbacks, has_weights = lookup(edit.root, "callbacks"), weights_below()
    states = {text(key): value for key, value in pairs(callbacks)} if callbacks is not None else {}
    holding = {name for name, value in states.items() if has_weights(value)}
    if callbacks is None or not holding:
        edit.remove("callbacks")
    else:
        what = "{count} states removed"
        edit.remove_matching(callbacks, "callbacks", lambda name: name not in holding, Category.OTHER, what)


def weights(root: Node) -> list[tuple[str, Node]]:
    """The state dict, and averages in the states of callbacks."""
    callbacks = lookup(root, "callbacks")
    averages = find_weights(callbacks, "callbacks") if callbacks is not None else ()
    return [*under("state_dict")(root), *averages]


RECIPE = Recipe("lightning", "PyTorch Lightning: what save_weights_only=True would have written", matches, drop, weights)
