"""YOLOv6: does what `strip_optimizer` in `yolov6/utils/checkpoint.py` does.

EMA weights become the model, `optimizer`, `ema` and `updates` None, the model half and without gradients. `epoch`,
`scheduler` and `results` stay, as they do there.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, freeze, has, promoted_model
from ptzip.tree.modules import is_module


def matches(root: Node) -> bool:
    """A module under `model`, `ema` beside it, and no `best_fitness`, which YOLOv5 and v7 always write."""
    is_own = has(root, "model", "ema", "updates", "optimizer", "epoch") and lookup(root, "best_fitness") is None
    return is_own and is_module(lookup(root, "model"))


def drop(edit: Edit) -> None:
    model = promoted_model(edit)
    edit.set_none("optimizer", "ema", "updates")
    freeze(edit, model)


RECIPE = Recipe("yolov6", "YOLOv6: as its strip_optimizer", matches, drop, is_half=True)
