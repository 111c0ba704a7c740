"""The file that an edit becomes: its layout, which is that of the input unless another is wanted, and the names it may have."""

from pathlib import Path

from ptzip.editing.edit import Edit, Finished
from ptzip.editing.tensors_file import tensors_file
from ptzip.errors import EditError
from ptzip.formats.container import BARE, Container
from ptzip.formats.folders.assembly import Folder
from ptzip.formats.legacy import stream
from ptzip.formats.safetensors import SafeTensors
from ptzip.io.atomic_output import NewFile, check_overwrite
from ptzip.io.compression import compression_named
from ptzip.io.folders import FolderSource
from ptzip.io.sources import FileSource, Source
from ptzip.zip import writer

SAFETENSORS, TORCH = "safetensors", "a file of torch.save"
SUFFIXES = {SAFETENSORS: (".safetensors",), TORCH: (".pt", ".pth", ".bin", ".ckpt"), "npz": (".npz",)}
"""Content -> the suffixes that promise it."""


def content_name(is_safetensors: bool) -> str:
    return SAFETENSORS if is_safetensors else TORCH


def laid_out(
    edit: Edit,
    container: Container,
    location: str | None = None,
    is_legacy: bool = False,
    keeps_format: bool = True,
    is_of_tensors: bool = False,
) -> tuple[Finished, NewFile]:
    """The content of the new file, and its layout: a zip of torch, unless the format of the input is another that is kept.

    A folder becomes safetensors if it `is_of_tensors`. `location` and `is_legacy` are as in `Edit.finish`, which may raise
    EditError.
    """
    if (isinstance(container, SafeTensors) and keeps_format) or (isinstance(container, Folder) and is_of_tensors):
        file: NewFile = tensors_file(edit, container)
        return edit.finish(location), file
    finished = edit.finish(location, is_legacy)
    if is_legacy:
        file = stream(finished.pickle, finished.storages, finished.items)
    elif container.name == BARE and keeps_format:
        from ptzip.editing.nested_streams import bare_file  # few files are bare pickles

        file = bare_file(edit, finished)
    else:
        file = writer.plan(container.rewritten(finished.pickle, finished.storages), container.alignment)
    return finished, file


def check_target(target: Path, source: Source, content: str, overwrite: bool, is_collection: bool = False) -> None:
    """Raise unless a file with such content may have the name: EditError for that of another format, FileExistsError.

    What replaces its input keeps its name, and a tar or zip of files may have the suffix of the input.
    """
    if (kind := compression_named(target)) and not kind.is_written:
        raise EditError(f"cannot write {target}: {kind.name} output is not supported, use .zst or no compression")
    check_overwrite(target, overwrite)
    suffix = content_suffix(target)
    is_fitting = suffix in SUFFIXES.get(content, (content_suffix(Path(source.name)),))
    is_of_format = any(suffix in suffixes for suffixes in SUFFIXES.values())
    if is_of_format and not is_fitting and not _replaces(target, source):
        instead = "FILE::NAME is one checkpoint in it" if is_collection else "use ptzip convert for another format"
        raise EditError(f"the output would be {content}, which {target} does not say: {instead}")


def _replaces(target: Path, source: Source) -> bool:
    return isinstance(source, FileSource | FolderSource) and target.exists() and target.samefile(source.path)


def content_suffix(path: Path) -> str:
    """The suffix that says what is in a file, in small letters, without that of a compression."""
    return (path.with_suffix("") if compression_named(path) else path).suffix.lower()
