"""First step of `slim`: the plan of a new file. No storage is read for it, except by `--dedupe`."""

from collections.abc import Collection
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Category
from ptzip.editing.drop_and_set import drop, set_value
from ptzip.editing.edit import Edit, Finished
from ptzip.errors import EditError
from ptzip.formats.container import Container
from ptzip.formats.legacy import Legacy, stream
from ptzip.io.atomic_output import NewFile
from ptzip.pickling.nodes import Global
from ptzip.recipes import choose
from ptzip.recipes.apply import start_edit, trim_and_cast
from ptzip.slimming.options import Options
from ptzip.tensors.cast import Stretch
from ptzip.tensors.torch_names import NOT_IN_LEGACY
from ptzip.zip import writer


class Plan(NamedTuple):
    """A new file before a byte of it is written: its layout is `file`, its content `finished`."""

    edit: Edit
    recipe: str
    finished: Finished
    file: NewFile


def make_plan(checkpoint: Checkpoint, options: Options, overflowing: Collection[Stretch] = (), owned: bool = False) -> Plan:
    """Plan the slim file; stretches of storages in `overflowing` keep their dtype.

    `owned` is whether nobody else holds the checkpoint, which is then released: who looks at its tree afterwards reads the file
    again. Raises PtzipError where the file cannot be slimmed, or a storage has not the bytes that the pickle says.
    """
    if not checkpoint.container.refusal:
        checkpoint.main.check_storages()
    container = checkpoint.release() if owned else checkpoint.container
    edit = start_edit(container, checkpoint.source.name, options.keep, options.ema, owned)
    recipe = _apply(edit, container, options, overflowing)
    is_legacy = _is_legacy(container, options.format)
    finished = edit.finish(options.new_location, is_legacy)
    if is_legacy:
        return Plan(edit, recipe, finished, stream(finished.pickle, finished.storages, finished.items))
    records = container.rewritten(finished.pickle, finished.storages)
    return Plan(edit, recipe, finished, writer.plan(records, container.alignment))


def _apply(edit: Edit, container: Container, options: Options, overflowing: Collection[Stretch]) -> str:
    """Apply the recipe, then the user's changes, then what concerns storages. Returns the name of the recipe."""
    recipe = choose(edit.root, options.recipe, options.is_edit)
    recipe.drop(edit)
    drop(edit, options.drop)
    for path, value in options.values:
        set_value(edit, path, value)
    edit.account.warnings += [f"--keep {pattern} matches nothing that would go" for pattern in sorted(edit.keep.unused)]
    if options.plain:
        from ptzip.editing.plain_form import make_plain  # imports that only --plain needs
        from ptzip.values.builder import build_array

        make_plain(edit, build_array)
    saturate = options.on_overflow == "saturate"
    trim_and_cast(edit, recipe, options.dtype, saturate, options.trim, options.keep_float32, overflowing)
    if options.dedupe:
        from ptzip.editing.dedupe import dedupe  # an import that only --dedupe needs

        dedupe(edit, options.new_location)
    if options.format is not None and _is_legacy(container, options.format) != isinstance(container, Legacy):
        edit.account.change(Category.OTHER, "file", f"format {options.format}")
    return recipe.name


def _is_legacy(container: Container, wanted: str | None) -> bool:
    """Whether to write a legacy stream; raises EditError where one is wanted and cannot hold the checkpoint."""
    main = container.parts[0]
    if wanted == "legacy" and main.big_endian:
        raise EditError("a big-endian checkpoint cannot be written in the legacy format, which is little-endian")
    newer = [node for node in main.pickle.calls if isinstance(node, Global) and node.path in NOT_IN_LEGACY]
    if wanted == "legacy" and newer:
        raise EditError(f"{newer[0].path} cannot be written in the legacy format, whose loader reads storages last")
    return wanted == "legacy" or (wanted == "same" and isinstance(container, Legacy))
