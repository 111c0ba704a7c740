"""The beginning and the end of every slim edit: refuse what cannot be slimmed, and cast the weights that a recipe names."""

from collections.abc import Collection

from ptzip.checkpoint import Checkpoint
from ptzip.editing import drop_and_set
from ptzip.editing.cast_weights import Wish, cast, tensor_slots
from ptzip.editing.edit import Edit
from ptzip.editing.modernise import modernise
from ptzip.editing.storage_users import Uses
from ptzip.editing.trim import trim
from ptzip.errors import EditError, UnsupportedError
from ptzip.globs import Patterns
from ptzip.recipes import GENERIC
from ptzip.recipes.recipe import Recipe
from ptzip.recipes.refusals import refusal
from ptzip.tensors.cast import Stretch
from ptzip.tree.modules import is_module


def start_edit(checkpoint: Checkpoint, keep: Collection[str] = (), ema: bool = True) -> Edit:
    """An edit in which old spellings are modernised; raises UnsupportedError or EditError where the file cannot be slimmed."""
    if checkpoint.container.refusal:
        raise UnsupportedError(checkpoint.container.refusal)
    if reason := refusal(checkpoint.pickle, checkpoint.root):
        raise EditError(reason)
    edit = Edit(checkpoint, kept=Patterns(keep), ema=ema)
    modernise(edit)
    return edit


def cast_weights(
    edit: Edit,
    recipe: Recipe,
    dtype: str = "float16",
    saturate: bool = False,
    is_trimmed: bool = True,
    keep_float32: Collection[str] = (),
    overflowing: Collection[Stretch] = (),
) -> None:
    """Trim storages to the elements that tensors use, and cast the weights; what tensors moved away from is trimmed again.

    `dtype` "keep" casts nothing; `overflowing` are stretches of storages that keep their dtype.
    """
    uses, weights = Uses(edit.root), list(recipe.weights(edit.root))
    if recipe is not GENERIC and not any(is_module(found) or tensor_slots(found) for _, found in weights):
        raise EditError(f"recipe {recipe.name} finds no weights in this file")
    if is_trimmed:
        edit.cuts = trim(edit, uses, uses.tensors)
    if dtype == "keep":
        return
    excluded = drop_and_set.spared(edit, Patterns(keep_float32))
    excluded |= drop_and_set.matching(edit.root, Patterns(recipe.keep_float32))
    left = cast(edit, uses, weights, Wish(dtype, saturate, excluded, frozenset(overflowing)))
    if is_trimmed:
        trim(edit, uses, {key: uses.left_on(key) for key in left})
