"""PyTorch Lightning: what is left is what `save_weights_only=True` writes (`checkpoint_connector.py`, `dump_checkpoint`).

Versions, `epoch`, `global_step`, `loops` and hyperparameters stay: loading an old file migrates it, and needs them
(`lightning/pytorch/utilities/migration`). Keys are removed, since None would be taken for a state.
"""

import re

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, has, is_state_dict, under, use_live_weights

TRAINING = re.compile(
    r"callbacks|optimizer_states|lr_schedulers|(native_)?amp_scaling_state|current_model_state|averaging_state"
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


RECIPE = Recipe(
    "lightning", "PyTorch Lightning: what save_weights_only=True would have written", matches, drop, under("state_dict")
)
