"""From a checkpoint and wishes to the plan of a new file: each kind of edit in its turn.

Rule: nothing of a storage is read here, save what `dedupe` compares.
"""

from collections.abc import Collection
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.editing import drop_and_set as asked
from ptzip.editing.cast_weights import Wish, cast, tensor_slots
from ptzip.editing.changes import Finished, Step
from ptzip.editing.edit import Edit
from ptzip.editing.modernise import modernise
from ptzip.editing.storage_users import Uses
from ptzip.editing.trim import trim
from ptzip.errors import EditError, UnsupportedError
from ptzip.formats.legacy import Legacy
from ptzip.formats.legacy_writer import stream
from ptzip.globs import Patterns
from ptzip.io.atomic_output import NewFile
from ptzip.pickling.nodes import Global
from ptzip.recipes import GENERIC, choose
from ptzip.recipes.recipe import Recipe
from ptzip.recipes.refusals import refusal
from ptzip.slimming.options import Options
from ptzip.tensors.cast import Stretch
from ptzip.tensors.torch_names import NOT_IN_LEGACY
from ptzip.tree.modules import is_module
from ptzip.zip import writer


class Planned(NamedTuple):
    """A new file, before a byte of it is written."""

    edit: Edit
    recipe: str
    finished: Finished
    file: NewFile


def plan(checkpoint: Checkpoint, options: Options, wide: Collection[Stretch] = ()) -> Planned:
    """The edit of a checkpoint, spelled, and the file that comes of it; `wide` are floats that are not to be cast."""
    if not checkpoint.container.refusal:
        checkpoint.main.check_storages()
    edit, recipe = edited(checkpoint, options, wide)
    is_legacy = _is_legacy(checkpoint, options.format)
    finished = edit.finish(None if options.location == "keep" else options.location, is_legacy)
    if is_legacy:
        return Planned(edit, recipe, finished, stream(finished.pickle, finished.storages, finished.items))
    records = checkpoint.container.rewritten(finished.pickle, finished.storages)
    return Planned(edit, recipe, finished, writer.plan(records, checkpoint.container.alignment))


def _is_legacy(checkpoint: Checkpoint, wanted: str | None) -> bool:
    """Whether the new file is to be a stream; raises EditError where it cannot be one."""
    if wanted == "legacy" and checkpoint.main.big_endian:
        raise EditError("a big-endian checkpoint cannot be written in the legacy format, which is little-endian")
    newer = [node for node in checkpoint.pickle.calls if isinstance(node, Global) and node.path in NOT_IN_LEGACY]
    if wanted == "legacy" and newer:
        raise EditError(f"{newer[0].path} has no place in the legacy format, whose loader reads storages last")
    return wanted == "legacy" or (wanted == "same" and isinstance(checkpoint.container, Legacy))


def edited(checkpoint: Checkpoint, options: Options, wide: Collection[Stretch] = ()) -> tuple[Edit, str]:
    """The edit of a checkpoint, and the name of the recipe that did it."""
    if checkpoint.container.refusal:
        raise UnsupportedError(checkpoint.container.refusal)
    if reason := refusal(checkpoint.pickle, checkpoint.root):
        raise EditError(reason)
    edit = Edit(checkpoint, kept=Patterns(options.keep), ema=options.ema)
    modernise(edit)
    recipe = choose(checkpoint.root, options.recipe, options.is_edit)
    recipe.drop(edit)
    _as_asked(edit, options)
    _cast(edit, recipe, options, wide)
    if options.dedupe:
        from ptzip.editing.dedupe import share  # as above

        share(edit, None if options.location == "keep" else options.location)
    if options.format is not None and _is_legacy(checkpoint, options.format) != isinstance(checkpoint.container, Legacy):
        edit.note(Step.OTHER, "file", f"format {options.format}")
    return edit, recipe.name


def _as_asked(edit: Edit, options: Options) -> None:
    """What the user wishes beside the recipe."""
    asked.drop(edit, Patterns(options.drop))
    for path, value in options.values:
        asked.put(edit, path, value)
    edit.warnings += [f"--keep {pattern} matches nothing that would go" for pattern in sorted(edit.kept.unused)]
    if options.plain:
        from ptzip.editing.weights_only import make_plain  # here, since few ask for it

        make_plain(edit)


def _cast(edit: Edit, recipe: Recipe, options: Options, wide: Collection[Stretch]) -> None:
    """Cut storages to what is used of them, and cast the weights; where one tensor moved away from others, cut once more."""
    uses, weights = Uses(edit.root), list(recipe.weights(edit.root))
    if recipe is not GENERIC and not any(is_module(found) or tensor_slots(found) for _, found in weights):
        raise EditError(f"recipe {recipe.name} finds no weights in this file")
    if options.trim:
        edit.cuts = trim(edit, uses, uses.tensors)
    if options.dtype == "keep":
        return
    spared = asked.spared(edit, Patterns(options.keep_float32)) | asked.matching(edit.root, Patterns(recipe.keep_float32))
    left = cast(edit, uses, weights, Wish(options.dtype, options.on_overflow == "saturate", spared, frozenset(wide)))
    if options.trim:
        trim(edit, uses, {key: uses.left_on(key) for key in left})


class Forecast(NamedTuple):
    """What slimming a file would save of its storages and texts, in bytes; 0 where it is slim already."""

    recipe: str
    saved: int


def forecast(checkpoint: Checkpoint) -> Forecast:
    """What slimming an open checkpoint by default would save. Raises PtzipError where it cannot be done.

    The checkpoint's own tree is edited for it, so that nothing is read twice: whoever asks is done with the tree. Whether
    the storages have the bytes that they should have is not asked here.
    """
    edit, recipe = edited(checkpoint, Options())
    return Forecast(recipe, sum(edit.outlook().values()) if edit.has_gain else 0)
