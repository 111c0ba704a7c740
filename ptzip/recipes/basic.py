"""The original recipe: a new dict of five keys, the raw model in half precision.

`epoch` is -1, `training_results` and `optimizer` are None, `best_fitness` and `model` stay, every other key goes. The
model may be a pickled module or a dict of tensors. `requires_grad` stays as it is.
"""

from ptzip.editing.cast_weights import tensor_slots
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Atom, Node, lookup, pairs, text
from ptzip.recipes.recipe import Recipe
from ptzip.tree.modules import is_module

KEYS = ("epoch", "best_fitness", "training_results", "model", "optimizer")


def matches(root: Node) -> bool:
    """Exactly the five keys, around a dict of tensors (a module there belongs to the recipe of its framework)."""
    return sorted(text(key) or "" for key, _ in pairs(root)) == sorted(KEYS) and bool(tensor_slots(lookup(root, "model")))


def drop(edit: Edit) -> None:
    model = lookup(edit.root, "model")
    if not is_module(model) and not tensor_slots(model):
        found = "nothing" if model is None or (isinstance(model, Atom) and model.value is None) else "something else"
        raise EditError(f"recipe basic needs a module or a dict of tensors under the key model, and {found} is there")
    edit.keep_only(*KEYS)
    edit.set_number("epoch", -1)
    edit.set_none("training_results", "optimizer")


RECIPE = Recipe("basic", "five keys, the raw model in half precision", matches, drop, is_half=True)
