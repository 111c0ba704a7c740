"""Detectron2 and maskrcnn-benchmark: `model`, beside the states of an optimizer and a scheduler (fvcore's Checkpointer).

`iteration` stays, a number that resuming needs.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, has, is_optimizer, is_state_dict


def matches(root: Node) -> bool:
    """`optimizer` and `scheduler`, or in newer versions the state of a `trainer` that holds both, or has an inner one that does
    (`engine/train_loop.py`, `engine/defaults.py`)."""
    trainer = lookup(root, "trainer")
    is_old = is_optimizer(lookup(root, "optimizer")) and has(root, "scheduler", "iteration")
    inner = lookup(trainer, "_trainer") or trainer
    is_new = has(root, "iteration") and inner is not None and is_optimizer(lookup(inner, "optimizer"))
    return (is_old or is_new) and is_state_dict(lookup(root, "model"))


def drop(edit: Edit) -> None:
    """Keys are removed: a key that is there is loaded, whatever it holds."""
    edit.remove("optimizer", "scheduler", "trainer", "grad_scaler")


RECIPE = Recipe("detectron2", "Detectron2, maskrcnn-benchmark: the model and the iteration", matches, drop)
