"""Which module of a checkpoint is kept as its model, and without gradients."""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Atom, Node, lookup
from ptzip.tensors.references import REQUIRES_GRAD, parameter_arguments
from ptzip.tree.modules import is_module, parameter_slots


def promoted_model(edit: Edit) -> Node:
    """The model of a checkpoint, once the EMA weights took its place where there are any.

    Raises EditError where neither is a pickled module.
    """
    better, model = lookup(edit.root, "ema"), lookup(edit.root, "model")
    if edit.ema and better is not None and is_module(better):
        edit.replace("model", better, "ema")
        return better
    if model is None or not is_module(model):
        raise EditError("there is no pickled module under the keys model and ema, which this recipe needs")
    return model


def freeze(edit: Edit, root: Node) -> None:
    """Set `requires_grad` of every parameter to False."""
    frozen = 0
    for slot in parameter_slots(root):
        arguments = parameter_arguments(slot.node)
        flag = arguments[REQUIRES_GRAD] if len(arguments) > REQUIRES_GRAD else None
        if isinstance(flag, Atom) and flag.value is True:
            arguments[REQUIRES_GRAD] = atom(False)
            frozen += 1
    if frozen:
        edit.note(Category.OTHER, "model", f"requires_grad of {frozen} parameters to False", gain=False)
