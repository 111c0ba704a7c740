"""nnU-Net v2: the momentum goes, and a key for it stays.

`nnUNetTrainer.load_checkpoint` gives `optimizer_state` to the optimizer whatever it is to do then, validation too, so the
state stays loadable: its `param_groups` are kept, which are numbers, and its `state` is empty, as before the first step.
Everything else that its loaders ask for is small, and stays.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, empty_optimizers, has, under


def matches(root: Node) -> bool:
    return has(root, "network_weights", "trainer_name", "init_args")


def drop(edit: Edit) -> None:
    empty_optimizers(edit, lookup(edit.root, "optimizer_state"), "optimizer_state", "load_checkpoint reads it")


RECIPE = Recipe("nnunet", "nnU-Net v2: the weights, an empty optimizer state, the log", matches, drop, under("network_weights"))
