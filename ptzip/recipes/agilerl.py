"""AgileRL: the momentum goes, and the keys for it stay.

`load` of an agent builds its optimizers and loads their states, whatever the agent is to do then
(`agilerl/algorithms/core/base.py`), so the states are emptied. `registry` and the other attributes of the agent stay, since
its loader asks for them all.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, empty_optimizers, has
from ptzip.recipes.weights import find_weights

OPTIMIZERS = "network_info.optimizers"
ASKED_FOR = ("network_info", "registry")
"""Keys that tell the loader how to build an agent."""


def matches(root: Node) -> bool:
    networks = lookup(root, "network_info")
    return networks is not None and has(root, "registry") and has(networks, "modules", "optimizers")


def drop(edit: Edit) -> None:
    empty_optimizers(edit, lookup(lookup(edit.root, "network_info"), "optimizers"), OPTIMIZERS, "load reads it")


RECIPE = Recipe(
    "agilerl", "AgileRL: the weights of all networks, empty optimizer states", matches, drop, find_weights, needed=ASKED_FOR
)
