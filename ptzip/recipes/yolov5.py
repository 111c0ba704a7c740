"""YOLOv5, v1.0 to v7.0 and its PyPI package; files of YOLOv7 that end in YOLOv5's own layer are taken for v5.0.

Does what `strip_optimizer` of the version that wrote the file does (`utils/general.py`; `utils/utils.py` in v1.0): EMA
weights become the model, training-only keys None, the model half and without gradients. The version is not in the file;
the layout is enough to decide which keys to drop, except that v2.0 is treated as v3.0, which drops the results too.
"""

from ptzip.editing.edit import Edit
from ptzip.editing.yolo_heads import has_grid_list, last_layer
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, freeze, has, promoted_model
from ptzip.tree.calls import class_path
from ptzip.tree.modules import attribute, is_module

OWN_KEYS = (("best_fitness", "training_results"), ("best_fitness", "updates"))
"""Keys that `train.py` writes together: the first two until v6.0, the others since v5.0, with any model that it can train."""

OWN_MODULES = ("models.yolo.", "models.common.", "models.experimental.")


def matches(root: Node) -> bool:
    """A module under `model` or `ema`, beside `epoch` and `optimizer`, with keys or a class that only YOLO has."""
    models = [model for key in ("model", "ema") if (model := lookup(root, key)) is not None and is_module(model)]
    is_own = any(has(root, *keys) for keys in OWN_KEYS) or any(map(_is_yolo, models))
    return bool(models) and has(root, "epoch", "optimizer") and is_own


def _is_yolo(model: Node) -> bool:
    """A class of YOLOv5's modules, or a last layer with anchors."""
    head, path = last_layer(model), class_path(model)
    has_anchors = head is not None and None not in (attribute(head, "anchors"), attribute(head, "stride"))
    return has_anchors or path.startswith((*OWN_MODULES, *(f"yolov5.{module}" for module in OWN_MODULES)))


def drop(edit: Edit) -> None:
    model = promoted_model(edit)
    edit.set_none(*_training_keys(edit.keys, model))
    if not is_first_release(model):
        edit.set_number("epoch", -1)
        freeze(edit, model)


def _training_keys(keys: list[str], model: Node) -> tuple[str, ...]:
    """The keys that the stripper of the file's version sets to None."""
    has_list = has_grid_list(model)
    name = class_path(model).rpartition(".")[2]
    if "date" in keys or (has_list and name != "Model"):  # v6.1 and later
        return ("optimizer", "best_fitness", "ema", "updates", *(key for key in ("wandb_id",) if key in keys))
    if "ema" in keys or has_list:  # v5.0, v6.0
        return ("optimizer", "training_results", "wandb_id", "ema", "updates")
    if is_first_release(model):
        return ("optimizer",)
    return ("optimizer", "training_results")  # v2.0 to v4.0


def is_first_release(model: Node) -> bool:
    """v1.0 kept the model's description in `md`, `yaml` since v2.0; its stripper touched nothing but the optimizer."""
    return attribute(model, "md") is not None


RECIPE = Recipe("yolov5", "YOLOv5 v1.0 to v7.0: as its strip_optimizer", matches, drop, is_half=True)
