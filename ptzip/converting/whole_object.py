"""`convert --portable` and `--rename-class`: the object of a checkpoint as a whole, modules included, as a new zip of torch.

Nothing is removed and nothing cast: the tree is edited as by `slim`, and every storage keeps its bytes.
"""

from pathlib import Path

from ptzip.checkpoint import Checkpoint
from ptzip.converting.report import ConvertReport
from ptzip.editing.edit import Edit
from ptzip.editing.portable import make_portable, note_needs
from ptzip.editing.rename_classes import ClassRename, rename_classes
from ptzip.errors import UnsupportedError
from ptzip.io.atomic_output import check_not_input, check_overwrite, new_files
from ptzip.io.payloads import ByteCounter, Progress
from ptzip.recipes.apply import edit_of
from ptzip.values.builder import build_array
from ptzip.zip import writer
from ptzip.zip.crc_messages import crc_lines

FORMAT = "torch.save zip"


def convert_whole(
    checkpoint: Checkpoint,
    output: Path,
    is_portable: bool,
    renames: tuple[ClassRename, ...],
    progress: Progress | None = None,
    overwrite: bool = False,
    sync: bool = True,
) -> ConvertReport:
    """Write the object. Raises UnsupportedError for a format that is read only, EditError where a pickle cannot be written."""
    container = checkpoint.container
    if container.refusal:
        raise UnsupportedError(container.refusal)
    edit = edit_of(container, checkpoint.main)
    if is_portable:
        make_portable(edit, build_array)
    rename_classes(edit, renames)
    if is_portable:
        note_needs(edit)
    finished = edit.finish("cpu" if is_portable else None)
    file = writer.plan(container.rewritten(finished.pickle, finished.storages), container.alignment)
    check_not_input(output, checkpoint.source.name)
    check_overwrite(output, overwrite)
    counter = ByteCounter(progress, sum(payload.length for payload in file.payloads))
    with new_files([output], checkpoint.source, overwrite=overwrite, sync=sync) as written:
        written.outputs[0].write(file, counter.add)
    return ConvertReport(
        path=checkpoint.source.name,
        outputs=(str(output),),
        format=FORMAT,
        tensors=len(checkpoint.tensors()),
        size=file.size,
        ties={},
        left_out=(),
        warnings=(*crc_lines(finished.read), *edit.account.warnings, *written.warnings),
        larger=_why_larger(checkpoint, edit) if file.size > checkpoint.source.size else "",
        notes=tuple(edit.account.notes),
    )


def _why_larger(checkpoint: Checkpoint, edit: Edit) -> str:
    is_packed = bool(checkpoint.compression) or sum(edit.account.sizes.values()) > checkpoint.source.size
    return "the input is compressed" if is_packed else "the pickle and the zip around it take more than in the input"
