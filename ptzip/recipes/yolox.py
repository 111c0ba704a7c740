"""YOLOX: `model` is a state dict, that of the EMA where one was kept (`yolox/core/trainer.py`, `save_ckpt`).

Evaluation, demo and export ask for `model` alone; `start_epoch`, `best_ap` and `curr_ap` are numbers, and stay.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, has, is_state_dict


def matches(root: Node) -> bool:
    return has(root, "start_epoch", "model") and is_state_dict(lookup(root, "model"))


def drop(edit: Edit) -> None:
    edit.remove("optimizer", "amp")


RECIPE = Recipe("yolox", "YOLOX: the model's state dict and numbers", matches, drop)
