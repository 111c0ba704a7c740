"""Averaged and live weights that stand beside one another under different names.

Rule: what takes a place is the node itself, so that nothing is copied, and the account knows where it stood.
"""

from collections.abc import Callable

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, pair_slots, text


def exchange(
    edit: Edit, state: Node, path: str, others: Node, other_path: str, other_name: Callable[[str], str], what: str
) -> None:
    """Put in the place of each tensor of a state dict the one that `others` has for it; `what` says which those are."""
    found = {name: slot.node for key, slot in pair_slots(others) if (name := text(key)) is not None}
    replaced = list[Node]()
    for key, slot in list(pair_slots(state)):
        name = text(key)
        other = other_name(name) if name is not None else ""
        if other in found and not edit.keeps(f"{path}.{name}".lstrip("."), slot.node):
            replaced.append(slot.node)
            slot.put(found[other])
            here = f"{path}.{name}".lstrip(".")
            edit.moved[here] = f"{other_path}.{other}".lstrip(".")
            edit.gone.add(here)
    if replaced:
        edit.drop_all(Category.EMA, path, replaced, f"{len(replaced)} weights replaced by {what}")
