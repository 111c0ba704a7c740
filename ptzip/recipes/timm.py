"""timm: the averaged state dict where there is one (`timm/models/_helpers.py`, `load_state_dict` with `use_ema`).

`arch`, `args`, `epoch`, `version` and `metric` stay: they say what the weights are. Keys are removed, since resuming asks
whether they are there.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, has, is_state_dict, under

TRAINING = ("optimizer", "amp_scaler", "amp", "state_dict_ema", "task_state", "task_state_ema")


def matches(root: Node) -> bool:
    is_own = any(lookup(root, key) is not None for key in ("version", "args", "state_dict_ema"))
    return is_own and has(root, "arch", "epoch") and is_state_dict(lookup(root, "state_dict"))


def drop(edit: Edit) -> None:
    average = lookup(edit.root, "state_dict_ema")
    if edit.ema and is_state_dict(average) and average is not None:
        edit.replace("state_dict", average, "state_dict_ema")
    edit.remove(*TRAINING)


RECIPE = Recipe("timm", "timm: the averaged state dict, and what it is of", matches, drop, under("state_dict"))
