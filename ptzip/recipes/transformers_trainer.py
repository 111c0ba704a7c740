"""The folder of a transformers `Trainer`: weights in one file, the states of the training in others beside it.

`optimizer.pt`, `scheduler.pt`, `rng_state.pth` and `training_args.bin` hold no weights, so nothing of them would be left;
`pytorch_model.bin` is a state dict, of which nothing goes (`transformers/trainer.py`, `_save_checkpoint`).
"""

from pathlib import Path

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Node
from ptzip.recipes.no_weights import advice, only_training
from ptzip.recipes.recipe import Recipe, is_state_dict

FOLDER = "transformers Trainer folder"
"""The name of the folders to which the recipe belongs."""

TRAINING_FILES = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth")


def matches(root: Node) -> bool:
    """Never: the weights look like those of anybody, and the other files have none."""
    return False


def drop(edit: Edit) -> None:
    if what := only_training(edit.root):
        raise EditError(advice(what))
    if not is_state_dict(edit.root):
        raise EditError("recipe transformers-trainer needs a state dict, and something else is there")
    hint(edit)


def hint(edit: Edit) -> None:
    """Warn of files beside the weights that only training needs; the report of a folder has them."""
    if Path(edit.path).is_dir():
        return
    folder = Path(edit.path).parent
    found = [folder / name for name in TRAINING_FILES if (folder / name).is_file()]
    if found:
        size = sum(path.stat().st_size for path in found) / 1e6
        names = ", ".join(path.name for path in found)
        edit.account.warnings.append(f"{names} in the same folder hold {size:,.1f} MB that only training needs")


def weights(root: Node) -> list[tuple[str, Node]]:
    return [("", root)]


RECIPE = Recipe(
    "transformers-trainer",
    "transformers Trainer: the weights of its folder, or those of a file with a warning of the others",
    matches,
    drop,
    weights,
)
