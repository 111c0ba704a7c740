"""Ultralytics (YOLOv8 and later): does what `strip_optimizer` in `ultralytics/utils/torch_utils.py` (8.4) does.

What cannot come from the file alone is left as it was: the new date and version, and the merge of `train_args` with the
package's defaults.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Atom, Node, lookup
from ptzip.recipes.recipe import Recipe, freeze, promoted_model
from ptzip.tree.calls import class_path
from ptzip.tree.modules import attribute, attributes, child, is_module

TRAINING_KEYS = ("optimizer", "best_fitness", "stopper", "ema", "updates", "scaler")


def matches(root: Node) -> bool:
    """A module of a class of the `ultralytics` package under `model` or `ema`."""
    models = (lookup(root, "model"), lookup(root, "ema"))
    return any(model is not None and is_module(model) and _is_own(model) for model in models)


def _is_own(model: Node) -> bool:
    return class_path(model).startswith("ultralytics.")


def drop(edit: Edit) -> None:
    model = _student(edit, promoted_model(edit))
    _plain_arguments(edit, model)
    _without_criterion(edit, model)  # before the second reference to the model goes, which would be said to free its tensors
    edit.set_none(*TRAINING_KEYS)
    edit.set_number("epoch", -1)
    freeze(edit, model)


def _student(edit: Edit, model: Node) -> Node:
    """Of a distillation only the student is kept."""
    student = child(model, "student_model")
    if student is None or not class_path(model).endswith(".DistillationModel"):
        return model
    edit.replace("model", student, f"{edit.account.moved.get('model', 'model')}.student_model", "its student")
    return student


def _plain_arguments(edit: Edit, model: Node) -> None:
    """`model.args`, a namespace, becomes its dict."""
    slot = attribute(model, "args")
    inside = attributes(slot.node) if slot is not None else None
    if slot is not None and inside is not None:
        slot.put(inside)
        edit.account.change(Category.OTHER, "model.args", "a plain dict", gain=False)


def _without_criterion(edit: Edit, model: Node) -> None:
    slot = attribute(model, "criterion")
    is_there = slot is not None and not (isinstance(slot.node, Atom) and slot.node.value is None)
    if slot is not None and is_there and not edit.keeps("model.criterion", slot.node):
        edit.account.removed(Category.OTHER, "model.criterion", [slot.node], "None")
        slot.put(atom(None))


RECIPE = Recipe("ultralytics", "YOLOv8 and later: as the package's strip_optimizer", matches, drop, is_half=True)
