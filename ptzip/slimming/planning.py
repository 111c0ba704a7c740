"""From a checkpoint and wishes to the plan of a new file: each kind of edit in its turn.

Rule: nothing of a storage is read here, save what `dedupe` compares.
"""

from collections.abc import Collection
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.container import writer
from ptzip.editing import asked
from ptzip.editing.casting import Wish, cast
from ptzip.editing.edit import Edit, Finished
from ptzip.editing.modern import modernise
from ptzip.editing.places import Patterns
from ptzip.editing.trimming import trim
from ptzip.editing.uses import Uses
from ptzip.errors import EditError, UnsupportedError
from ptzip.recipes import choose
from ptzip.recipes.refused import refusal
from ptzip.slimming.options import Options
from ptzip.tensors.cast import Stretch


class Planned(NamedTuple):
    """A new file, before a byte of it is written."""

    edit: Edit
    recipe: str
    finished: Finished
    file: writer.Plan


def plan(checkpoint: Checkpoint, options: Options, wide: Collection[Stretch] = ()) -> Planned:
    """The edit of a checkpoint, spelled, and the file that comes of it; `wide` are floats that are not to be cast."""
    if not checkpoint.layout.refusal:
        checkpoint.main.check_storages()
    edit, recipe = edited(checkpoint, options, wide)
    finished = edit.finish(None if options.location == "keep" else options.location)
    records = checkpoint.layout.rewritten(finished.pickle, finished.storages)
    return Planned(edit, recipe, finished, writer.plan(records, checkpoint.layout.alignment))


def edited(checkpoint: Checkpoint, options: Options, wide: Collection[Stretch] = ()) -> tuple[Edit, str]:
    """The edit of a checkpoint, and the name of the recipe that did it."""
    if checkpoint.layout.refusal:
        raise UnsupportedError(checkpoint.layout.refusal)
    reason = refusal(checkpoint.pickle, checkpoint.root)
    if reason:
        raise EditError(reason)
    edit = Edit(checkpoint, kept=Patterns(options.keep), ema=options.ema)
    modernise(edit)
    recipe = choose(checkpoint.root, options.recipe)
    recipe.drop(edit)
    asked.drop(edit, Patterns(options.drop))
    for path, value in options.values:
        asked.put(edit, path, value)
    spared = asked.spared(edit, Patterns(options.keep_float32)) | asked.matching(edit.root, Patterns(recipe.keep_float32))
    edit.warnings += [f"--keep {pattern} matches nothing that would go" for pattern in sorted(edit.kept.unused)]
    uses = Uses(edit.root)
    if options.trim:
        trim(edit, uses, list(uses.tensors))
    if options.dtype != "keep":
        wish = Wish(options.dtype, options.on_overflow == "saturate", spared, frozenset(wide))
        left = cast(edit, uses, recipe.weights(edit.root), wish)
        if options.trim:
            trim(edit, uses, left)
    return edit, recipe.name
