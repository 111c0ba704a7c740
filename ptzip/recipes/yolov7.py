"""YOLOv7: does what `strip_optimizer` in `utils/general.py` does, on the main branch and on u5 to u7.

Its keys are those of YOLOv5 v5.0, so it is recognised by the class of its last layer.
"""

from ptzip.editing.edit import Edit
from ptzip.editing.yolo_heads import last_layer
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, freeze, has, promoted_model
from ptzip.tree.calls import class_path
from ptzip.tree.modules import is_module

HEADS = frozenset({"IDetect", "IAuxDetect", "IBin", "IKeypoint"})
"""The last layers that YOLOv7 added (`models/yolo.py`)."""


def matches(root: Node) -> bool:
    """A module that ends in such a layer under `model` or `ema`, beside `epoch` and `optimizer`."""
    models = [model for key in ("model", "ema") if (model := lookup(root, key)) is not None and is_module(model)]
    heads = [head for model in models if (head := last_layer(model)) is not None]
    return has(root, "epoch", "optimizer") and any(class_path(head).rpartition(".")[2] in HEADS for head in heads)


def drop(edit: Edit) -> None:
    model = promoted_model(edit)
    edit.set_none("optimizer", "best_fitness" if "date" in edit.keys else "training_results", "wandb_id", "ema", "updates")
    edit.set_number("epoch", -1)
    freeze(edit, model)


RECIPE = Recipe("yolov7", "YOLOv7: as its strip_optimizer", matches, drop, is_half=True)
