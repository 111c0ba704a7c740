"""Any other checkpoint: the states of training are removed wherever they are, everything else stays.

A key of a dict is removed with its value; an item of a list or tuple and an attribute of an object become None, so that what
has them still loads. Averaged weights are cast as the live ones are, and both stay. What only looks like a state of training
stays too, and is named.
"""

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Node
from ptzip.recipes.find_training import Found, find_training
from ptzip.recipes.no_weights import advice, has_other_tensors, only_training
from ptzip.recipes.recipe import Recipe, is_state_dict
from ptzip.recipes.transformers_trainer import hint
from ptzip.recipes.weights import find_weights, is_average

MOST_PATHS = 5
"""How many paths a warning lists."""


def matches(root: Node) -> bool:
    """Any file with weights, or with states of training beside other tensors."""
    if any(True for _ in find_weights(root)):
        return True
    found = [one for one in find_training(root) if one.kind is not None]
    return bool(found) and has_other_tensors(root, found)


def drop(edit: Edit) -> None:
    """Raises EditError where nothing but states of training is in the file, and nothing of them is kept."""
    if is_state_dict(edit.root):
        hint(edit)
    if (what := only_training(edit.root)) and not edit.keeps("", edit.root):
        raise EditError(advice(what))
    found = list(find_training(edit.root, edit))
    _remove(edit, [one for one in found if one.kind is not None])
    name_leftovers(edit, [one for one in found if one.is_left()])
    name_averages(edit, [path for path, _ in find_weights(edit.root)])


def _remove(edit: Edit, states: list[Found]) -> None:
    """Remove states, the last of a dict first, so that indices stay valid; the account has them in their order."""
    first = len(edit.account.changes)
    for one in reversed(states):
        assert one.kind is not None
        edit.remove_slot(one.path, one.slot, one.owner, one.kind.category, one.kind.what)
    edit.account.changes[first:] = edit.account.changes[first:][::-1]


def name_leftovers(edit: Edit, left: list[Found]) -> None:
    """Warn of what looks like a state of training and was kept."""
    paths = list[str]()
    for one in left:
        if not any(one.path.startswith(f"{path}.") for path in paths):
            paths.append(one.path)
    edit.account.warnings += [
        f"{path} looks like the state of a training, and was kept (--drop {path} removes it)" for path in paths[:MOST_PATHS]
    ]
    if paths[MOST_PATHS:]:
        more = f"{len(paths) - MOST_PATHS} more values look like states of a training, and were kept"
        edit.account.warnings.append(f"{more}: {', '.join(paths[MOST_PATHS:])}")


def name_averages(edit: Edit, paths: list[str]) -> None:
    """Warn where averaged weights and live ones are both kept."""
    averages = [path for path in paths if is_average(path)]
    live = [path or "the object" for path in paths if not is_average(path)]
    if averages and live:
        options = ", ".join(f"--drop {path}" for path in averages)
        edit.account.warnings.append(
            f"{', '.join(averages)} (averaged weights) and {', '.join(live)} are both kept ({options} removes the averages)"
        )


RECIPE = Recipe("generic", "any other: removes states of training wherever they are", matches, drop, find_weights)
"""`weights` also finds lists of averages."""
