"""Any other checkpoint: the states of training are removed wherever they are, everything else stays.

A key of a dict is removed with its value; an item of a list or tuple and an attribute of an object become None, so that what
has them still loads, and in a state dict the keys stay. Averaged weights are cast as the live ones are, and both stay. What
only looks like a state of training stays too.
"""

from ptzip.editing.edit import Edit, Removable
from ptzip.errors import EditError, LimitError
from ptzip.pickling.nodes import Node
from ptzip.recipes.find_training import Found, find_training
from ptzip.recipes.kept import name_averages
from ptzip.recipes.no_weights import advice, has_other_tensors, only_training
from ptzip.recipes.recipe import Recipe, empty_optimizers, is_state_dict
from ptzip.recipes.transformers_trainer import hint
from ptzip.recipes.weights import find_weights, is_weights


def matches(root: Node) -> bool:
    """Any file with weights, or with states of training beside other tensors."""
    if any(True for _ in find_weights(root)):
        return True
    try:
        found = [one for one in find_training(root) if one.kind is not None]
    except LimitError:
        return True  # `drop` raises it, unless the limits of its edit are higher
    return bool(found) and has_other_tensors(root, found)


def drop(edit: Edit) -> None:
    """Raises EditError where nothing but states of training is in the file, and nothing of them is kept."""
    if is_state_dict(edit.root):
        hint(edit)
    if (what := only_training(edit.root, edit.most_paths)) and not edit.keeps("", edit.root):
        raise EditError(advice(what))
    _remove(edit, [one for one in find_training(edit.root, edit.keep, most=edit.most_paths) if one.kind is not None])
    name_averages(edit, [path for path, _ in find_weights(edit.root)])


def _remove(edit: Edit, states: list[Found]) -> None:
    """Remove states. Those among the weights of a state dict stay, emptied: a module wrote them, and asks for them in
    `load_state_dict`.
    """
    owners = {id(one.owner): one.owner for one in states if one.owner is not None}
    state_dicts = {key for key, owner in owners.items() if is_weights(owner)}
    removed = list[Removable]()
    for one in states:
        if id(one.owner) in state_dicts:
            empty_optimizers(edit, one.node, one.path, "load_state_dict reads it")
        elif one.kind is not None:
            removed.append(Removable(one.path, one.slot, one.owner, one.kind.category, one.kind.what))
    edit.remove_all(removed)


RECIPE = Recipe(
    "generic", "any other: removes states of training wherever they are", matches, drop, find_weights, may_lack_weights=True
)
