"""The steps that every slim edit has around a recipe.

Nothing here reads a storage or writes a file.
"""

from collections.abc import Collection, Iterable

from ptzip.editing.account import Category
from ptzip.editing.cast_weights import CastOptions, cast_weights, tensor_slots
from ptzip.editing.drop_and_set import tensors_at
from ptzip.editing.edit import Edit
from ptzip.editing.modernise import modernise
from ptzip.editing.storage_users import StorageUsers
from ptzip.editing.trim import trim
from ptzip.errors import EditError, UnsupportedError
from ptzip.formats.container import BARE, Container, Part
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.torchzip import TorchZip
from ptzip.globs import Patterns
from ptzip.pickling.nodes import Node, pairs
from ptzip.recipes import AUTO, GENERIC, choose
from ptzip.recipes.recipe import Recipe
from ptzip.recipes.refusals import refusal
from ptzip.tensors.cast import Stretch
from ptzip.tree.modules import is_module

HOW_TO_USE = "a module in half precision computes on a GPU; on a CPU call .float() on {what} after loading"


def start_edit(container: Container, path: str = "", keep: Iterable[str] = (), ema: bool = True) -> Edit:
    """An edit of the tree of a container itself, which a checkpoint must have released; old spellings are modernised.

    Raises UnsupportedError or EditError where the file cannot be slimmed.
    """
    if container.refusal:
        raise UnsupportedError(container.refusal)
    part = edited_part(container)
    if reason := refusal(part.pickle, part.root):
        raise EditError(reason)
    return edit_of(container, part, Patterns(keep), ema, path, owned=True)


def edit_of(
    container: Container, part: Part, keep: Patterns | None = None, ema: bool = True, path: str = "", owned: bool = False
) -> Edit:
    """An edit of a part of a file, whatever can be written of it."""
    edit = Edit(part, keep, ema, path, owned)
    modernise(edit, isinstance(container, TorchZip))
    if container.name == BARE:
        from ptzip.editing.nested_streams import streams_to_storages  # few files are bare pickles

        streams_to_storages(edit)
    return edit


def edited_part(container: Container) -> Part:
    """What an edit of a file is made of: its first pickle, or its tensors as a state dict."""
    if not isinstance(container, SafeTensors):
        return container.parts[0]
    from ptzip.editing.state_dict import as_part  # it loads numpy

    return as_part(container.stored_tensors())


def recipe_for(container: Container, root: Node, name: str = AUTO, is_any: bool = False) -> Recipe:
    """The recipe of that name, or the one whose layout the tree has: any layout, if `is_any` will do.

    A file that can hold nothing but tensors holds weights, whatever their names. Raises as `choose` does.
    """
    if container.parts:
        return choose(root, name, is_any)
    found = choose(root, name, is_any=any(True for _ in pairs(root)))
    return found._replace(weights=lambda root: [("", root)]) if found is GENERIC else found


def trim_and_cast(
    edit: Edit,
    recipe: Recipe,
    dtype: str = "auto",
    saturate: bool = False,
    is_trimmed: bool = True,
    keep_float32: Iterable[str] = (),
    overflowing: Collection[Stretch] = (),
) -> StorageUsers:
    """Trim storages, cast the weights of a recipe, and trim again the storages that a cast tensor moved away from.

    `dtype` "keep" casts nothing, "auto" float32 and float64 to float16; `overflowing` are stretches of storages that keep their
    dtype. Returns the users of the storages afterwards. Raises EditError where the recipe finds no weights.
    """
    users, weights = StorageUsers(edit.root), list(recipe.weights(edit.root))
    if not recipe.may_lack_weights and not any(is_module(found) or tensor_slots(found) for _, found in weights):
        raise EditError(f"recipe {recipe.name} finds no weights in this file")
    if is_trimmed:
        edit.cuts = trim(edit, users, users.tensors)
    if dtype == "keep":
        return users
    excluded = tensors_at(edit, keep_float32, "--keep-float32") | tensors_at(edit, recipe.keep_float32)
    target, is_named = ("float16", False) if dtype == "auto" else (dtype, True)
    options = CastOptions(target, is_named, saturate, excluded, frozenset(overflowing), recipe.is_half)
    left = cast_weights(edit, users, weights, options)
    _note_modules(edit, recipe, [path for path, found in weights if is_module(found)])
    if is_trimmed:
        trim(edit, users, {key: users.remaining_on(key) for key in left})
    return users


def _note_modules(edit: Edit, recipe: Recipe, paths: list[str]) -> None:
    """Say how to use modules that were cast, except those of frameworks whose own loaders make them float32 again."""
    cast = {change.path for change in edit.account.changes if change.category is Category.HALF}
    if not recipe.is_half and cast.intersection(paths):
        what = "its layers that are not quantised" if edit.account.companions else "it"  # packed weights may be floats
        edit.account.notes.append(HOW_TO_USE.format(what=what))
