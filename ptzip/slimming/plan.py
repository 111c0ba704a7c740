"""First step of `slim`: the plan of a new file. No storage is read for it, except by `--dedupe`."""

from collections.abc import Collection
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Category
from ptzip.editing.drop_and_set import drop, set_value
from ptzip.editing.edit import Edit, Finished
from ptzip.editing.new_file import laid_out
from ptzip.editing.rename_classes import rename_classes
from ptzip.errors import EditError
from ptzip.formats.container import BARE, Container
from ptzip.formats.folders.assembly import Folder, Role
from ptzip.formats.legacy import Legacy
from ptzip.formats.safetensors import SafeTensors
from ptzip.globs import Patterns
from ptzip.io.atomic_output import NewFile
from ptzip.io.folders import FolderSource
from ptzip.pickling.nodes import Global, Node, walk_unordered
from ptzip.recipes.apply import recipe_for, start_edit, trim_and_cast
from ptzip.recipes.find_training import Found, find_training
from ptzip.recipes.kept import name_leftovers
from ptzip.recipes.recipe import Recipe, Weights
from ptzip.slimming.options import Options
from ptzip.tensors.cast import Stretch
from ptzip.tensors.torch_names import NOT_IN_LEGACY
from ptzip.tree.children import node_children
from ptzip.tree.paths import walk, with_prefixes
from ptzip.zip import writer

ZIP_MAGIC = b"PK"

STEPS = {Role.TRAINING: Category.OPTIMIZER, Role.COPY: Category.EMA, Role.OTHER: Category.OTHER}
"""What the bytes of a folder count for that are not in its object."""


class Plan(NamedTuple):
    """A new file before a byte of it is written: its layout is `file`, its content `finished`; `is_worthwhile` is whether
    something is gained by it, `is_safetensors` its format."""

    edit: Edit
    recipe: str
    finished: Finished
    file: NewFile
    is_worthwhile: bool
    is_safetensors: bool


def make_plan(checkpoint: Checkpoint, options: Options, overflowing: Collection[Stretch] = ()) -> Plan:
    """Plan the slim file; stretches of storages in `overflowing` keep their dtype. Of a bare pickle the storages are read.

    The checkpoint is released: who looks at its tree afterwards reads the file again. Raises PtzipError where the file cannot
    be slimmed, or a storage has not the bytes that the pickle says.
    """
    if checkpoint.parts and not checkpoint.container.refusal:
        checkpoint.main.check_storages()
    container = checkpoint.release()
    edit = start_edit(container, checkpoint.source.name, options.keep, options.ema)
    recipe = _apply(edit, container, options, overflowing)
    finished, file = _laid_out(edit, container, options)
    is_worthwhile = edit.account.has_gain and _may_be_written(edit, checkpoint, finished, file, options)
    edit.release()
    return Plan(edit, recipe, finished, file, is_worthwhile, _is_safetensors(container, options))


def _is_safetensors(container: Container, options: Options) -> bool:
    """Whether the output is safetensors: that of such a file, and that of a folder if its name says so."""
    if isinstance(container, Folder):
        return options.is_of_tensors
    return isinstance(container, SafeTensors) and options.is_same_format


def _laid_out(edit: Edit, container: Container, options: Options) -> tuple[Finished, NewFile]:
    """The content of the new file, and its layout."""
    is_plain_bare = container.name == BARE and options.plain  # its tensors are streams of torch.save, which a function loads
    keeps_format = options.is_same_format and not is_plain_bare
    return laid_out(
        edit, container, options.new_location, _is_legacy(edit, container, options.format), keeps_format, options.is_of_tensors
    )


def _may_be_written(edit: Edit, checkpoint: Checkpoint, finished: Finished, file: NewFile, options: Options) -> bool:
    """Whether the new file is smaller or one of many, or has a reason not to be, which a note gives; or a note says what it
    would take."""
    if file.size < checkpoint.source.size or isinstance(checkpoint.source, FolderSource):
        return True
    is_zip = checkpoint.source.read(0, 2) == ZIP_MAGIC
    why = _why_larger(edit, checkpoint, options)
    if not why and is_zip:
        is_saving = sum(finished.saved.values()) > 0
        relocated = "its tensors load to another device now" if edit.is_relocated else ""
        why = "what a zip has around its tensors takes more than was saved" if is_saving else relocated
    if why:
        edit.account.notes.append(f"not smaller than the input: {why}")
        return True
    becomes_zip = isinstance(file, writer.ZipLayout) and not is_zip
    hint = ", as a zip (--format same keeps the format of the input)" if becomes_zip else ""
    edit.account.notes.append(
        f"the slim file would take {file.size:,} bytes, and the input takes {checkpoint.source.size:,}{hint}"
    )
    return False


def _why_larger(edit: Edit, checkpoint: Checkpoint, options: Options) -> str:
    """What accounts for a file that is not smaller, or ""."""
    if checkpoint.compression or sum(edit.account.sizes.values()) > checkpoint.source.size:
        return "the input is compressed, and the output is not"
    if options.is_edit:
        return f"{', '.join(options.edits)} asked for it"
    if edit.account.is_split:
        return "weights were cast that attributes share, which keep their dtype as module.half() leaves them"
    return ""


def _apply(edit: Edit, container: Container, options: Options, overflowing: Collection[Stretch]) -> str:
    """Apply the recipe, then the user's changes, then what concerns storages. Returns the name of the recipe."""
    recipe = recipe_for(container, edit.root, options.recipe, options.is_edit)
    found = _like_training(edit, recipe, options)
    recipe.drop(edit)
    drop(edit, options.drop)
    for path, value in options.values:
        set_value(edit, path, value)
    name_leftovers(edit, found)
    edit.account.warnings += [f"--keep {pattern} matches nothing that would go" for pattern in sorted(edit.keep.unused)]
    if options.portable or options.plain:
        recipe = _respell(edit, container, options, recipe)
    saturate = options.on_overflow == "saturate"
    trim_and_cast(edit, recipe, options.dtype, saturate, options.trim, options.keep_float32, overflowing)
    if options.dedupe:
        if _is_safetensors(container, options):
            raise EditError("tensors of a safetensors file cannot share bytes, so --dedupe needs --format zip")
        from ptzip.editing.dedupe import dedupe  # an import that only --dedupe needs

        dedupe(edit, options.new_location)
    rename_classes(edit, options.rename_class)
    if options.portable:
        from ptzip.editing.portable import note_needs  # imports that only --portable needs

        note_needs(edit)
    if isinstance(container, Folder):
        for one in container.unread:
            edit.account.left_unread(STEPS[one.role], one.name, one.size, f"not read: {one.role}")
        edit.account.change(Category.OTHER, "file", f"one of {len(container.source.files)}")
    if options.format is not None and _is_legacy(edit, container, options.format) != isinstance(container, Legacy):
        edit.account.change(Category.OTHER, "file", f"format {options.format}")
    return recipe.name


def _respell(edit: Edit, container: Container, options: Options, recipe: Recipe) -> Recipe:
    """Apply `--portable` and `--plain`. Returns the recipe, which finds the weights where they were."""
    from ptzip.values.builder import build_array  # here and below, imports that only these need

    if options.portable and isinstance(container, SafeTensors):
        edit.account.notes.append("safetensors names no class and no version: it loads everywhere as it is")
    elif options.portable:
        from ptzip.editing.portable import make_portable  # as above

        make_portable(edit, build_array)
    if not options.plain:
        return recipe
    from ptzip.editing.plain_form import make_plain  # as above

    paths = [path for path, _ in recipe.weights(edit.root)]
    make_plain(edit, build_array)
    if container.name == BARE:  # its tensors are streams of torch.save, which a function loads
        edit.account.change(Category.OTHER, "file", "a zip of torch.save")
    return recipe._replace(weights=_also_at(paths, recipe.weights, edit.most_paths))


def _like_training(edit: Edit, recipe: Recipe, options: Options) -> list[Found]:
    """What is or looks like a state of training, and is to be named where it is left. What the modules of a recipe that does as
    its framework does have in them, the framework leaves there."""
    found = find_training(edit.root, Patterns(options.keep), in_modules=not recipe.is_half, most=edit.most_paths)
    return [one for one in found if one.path.partition(".")[0] not in recipe.needed]


def _also_at(paths: list[str], weights: Weights, most: int) -> Weights:
    """Finds the weights at some paths and others: the names in the state dict of a module may not tell that it is one."""

    wanted = dict.fromkeys(paths)
    above = {one for path in paths for one in with_prefixes(path)}

    def find(root: Node) -> list[tuple[str, Node]]:
        below = walk(root, node_children, most=most, is_closed=lambda path: str(path) not in above)
        known = {"": root} | {str(path): child.value for path, child in below}
        return [
            *((path, known[path]) for path in wanted if path in known),
            *(one for one in weights(root) if one[0] not in wanted),
        ]

    return find


def _is_legacy(edit: Edit, container: Container, wanted: str | None) -> bool:
    """Whether to write a legacy stream; raises EditError where one is wanted and cannot hold the checkpoint."""
    if wanted == "legacy" and edit.part.big_endian:
        raise EditError("a big-endian checkpoint cannot be written in the legacy format, which is little-endian")
    names = (node for node in walk_unordered(edit.root) if isinstance(node, Global)) if wanted == "legacy" else ()
    newer = [node for node in names if node.path in NOT_IN_LEGACY]
    if newer:
        raise EditError(f"{newer[0].path} cannot be written in the legacy format, whose loader reads storages last")
    return wanted == "legacy" or (wanted == "same" and isinstance(container, Legacy))
