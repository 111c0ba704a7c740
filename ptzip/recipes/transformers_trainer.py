"""The folder of a transformers `Trainer`: weights in one file, the states of the training in others beside it.

`optimizer.pt`, `scheduler.pt`, `rng_state.pth` and `training_args.bin` hold no weights, so nothing of them would be left;
`pytorch_model.bin` is a state dict, of which nothing goes (`transformers/trainer.py`, `_save_checkpoint`).
"""

from pathlib import Path

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Call, Node
from ptzip.recipes.recipe import Recipe, has, is_optimizer, is_state_dict
from ptzip.tree.calls import class_path

TRAINING_FILES = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth")
ARGUMENTS = "TrainingArguments"


def matches(root: Node) -> bool:
    """One of the files without weights; the weights themselves look like those of anybody."""
    return bool(without_weights(root))


def without_weights(root: Node) -> str:
    """What a file without weights is, or ""."""
    if is_optimizer(root):
        return "the state of an optimizer"
    if isinstance(root, Call) and class_path(root).endswith(ARGUMENTS):
        return "the arguments of a training"
    if has(root, "python", "numpy", "cpu"):
        return "the states of random number generators"
    if has(root, "base_lrs", "last_epoch"):
        return "the state of a scheduler"
    return ""


def drop(edit: Edit) -> None:
    what = without_weights(edit.root)
    if what:
        raise EditError(f"this file holds {what} and no weights: delete it, if the training is not to go on")
    if not is_state_dict(edit.root):
        raise EditError("recipe transformers-trainer needs a state dict, and something else is there")
    hint(edit)


def hint(edit: Edit) -> None:
    """Warn of files beside the weights that only training needs."""
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
    "transformers Trainer: pytorch_model.bin, with a warning of training files beside it",
    matches,
    drop,
    weights,
)
