"""Stable-Baselines3: the networks of `policy.pth` in half precision, and optimizers emptied.

`set_parameters` copies the weights into the networks that the algorithm builds, which keep their dtype, and raises an error
where the state of an optimizer is missing; one before its first step will do (`stable_baselines3/common/base_class.py`). The
tensors of `pytorch_variables.pth` replace those of the algorithm, dtype and all, so they stay as they are.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Call, Node, lookup
from ptzip.recipes.recipe import Recipe, is_optimizer
from ptzip.recipes.weights import find_weights

ZIP = "Stable-Baselines3 zip"
"""The name of the collections to which the recipe belongs."""


def _never(_: Node) -> bool:
    """The recipe goes by what the checkpoint is in, which its tree does not tell."""
    return False


def drop(edit: Edit) -> None:
    """Raises EditError for the variables of the algorithm, which are in a plain dict, not one of `module.state_dict()`."""
    moments = lookup(edit.root, "state") if is_optimizer(edit.root) else None
    if moments is not None:
        edit.remove_matching(moments, "state", lambda _: True, Category.OPTIMIZER, "emptied; set_parameters needs the key")
    elif edit.part.storages and not isinstance(edit.root, Call):
        raise EditError("these tensors replace those of the algorithm when it is loaded, so they keep their dtype")


def _weights(root: Node) -> list[tuple[str, Node]]:
    return [] if is_optimizer(root) else list(find_weights(root))


RECIPE = Recipe(
    "sb3", "Stable-Baselines3: the networks, and optimizers without moments", _never, drop, _weights, may_lack_weights=True
)
