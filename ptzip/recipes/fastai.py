"""fastai: `model` stays, and `opt` becomes None.

`load_model` asks whether the keys are `model` and `opt`, and takes a dict with other keys for the weights themselves; an
optimizer that does not load is a warning (`fastai/learner.py`).
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import MODEL, Recipe, has, is_state_dict, names


def matches(root: Node) -> bool:
    """The two keys, around the state of an optimizer of fastai (`fastai/optimizer.py`)."""
    optimizer = lookup(root, "opt")
    is_own = optimizer is not None and has(optimizer, "state", "hypers")
    return is_own and sorted(names(root)) == ["model", "opt"] and is_state_dict(lookup(root, "model"))


def drop(edit: Edit) -> None:
    edit.set_none("opt")


RECIPE = Recipe("fastai", "fastai: the weights, and no state of the optimizer", matches, drop, MODEL)
