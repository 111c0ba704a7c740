"""From a checkpoint and wishes to the plan of a new file: each kind of edit in its turn.

Rule: nothing of a storage is read here, save what `dedupe` compares.
"""

from collections.abc import Collection
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.editing import drop_and_set as asked
from ptzip.editing.account import Category, Finished
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.formats.legacy import Legacy, stream
from ptzip.globs import Patterns
from ptzip.io.atomic_output import NewFile
from ptzip.pickling.nodes import Global
from ptzip.recipes import choose
from ptzip.recipes.apply import cast_weights, start_edit
from ptzip.slimming.options import Options
from ptzip.tensors.cast import Stretch
from ptzip.tensors.torch_names import NOT_IN_LEGACY
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
    finished = edit.finish(options.new_location, is_legacy)
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
    edit = start_edit(checkpoint, options.keep, options.ema)
    recipe = choose(edit.root, options.recipe, options.is_edit)
    recipe.drop(edit)
    _as_asked(edit, options)
    saturate = options.on_overflow == "saturate"
    cast_weights(edit, recipe, options.dtype, saturate, options.trim, options.keep_float32, wide)
    if options.dedupe:
        from ptzip.editing.dedupe import share  # as above

        share(edit, options.new_location)
    if options.format is not None and _is_legacy(checkpoint, options.format) != isinstance(checkpoint.container, Legacy):
        edit.note(Category.OTHER, "file", f"format {options.format}")
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
