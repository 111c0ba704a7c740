"""Which folders are one checkpoint, by the files in them; any other folder is just where files are."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ptzip.errors import UnsupportedError
from ptzip.formats.folders import (
    dcp,
    dcp_safetensors,
    dcp_wrapped,
    deepspeed,
    deepspeed_files,
    deepspeed_universal,
    diffusers,
    rank_files,
    sharded_index,
    trainer,
)
from ptzip.formats.folders.assembly import Folder
from ptzip.formats.folders.listing import Listing
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits


class FolderKind(NamedTuple):
    """`files` gives the files that such a folder consists of, the index first; None where it is no such folder. `read` opens
    it; `has_masters` is whether float32 masters can be asked for, `has_models` whether it has several models, of which each is
    slimmed where it is. `whole_name` is the name of one file with all tensors, by that of the first."""

    name: str
    files: Callable[[Listing], list[str] | None]
    read: Callable[[FolderSource, Limits], Folder]
    has_masters: bool = False
    has_models: bool = False
    whole_name: Callable[[str], str] = lambda _: ""


KINDS = (
    FolderKind(dcp_wrapped.LIGHTNING, dcp_wrapped.lightning_files, dcp_wrapped.read_lightning),
    FolderKind(dcp_wrapped.ACCELERATE, dcp_wrapped.accelerate_files, dcp_wrapped.read_accelerate),
    FolderKind(dcp_wrapped.MEGATRON, dcp_wrapped.megatron_files, dcp_wrapped.read_megatron),
    FolderKind(dcp.NAME, dcp.files, dcp.read),
    FolderKind(dcp_safetensors.NAME, dcp_safetensors.files, dcp_safetensors.read),
    FolderKind(diffusers.NAME, diffusers.files, diffusers.read, has_models=True),
    FolderKind(trainer.NAME, trainer.files, trainer.read, whole_name=sharded_index.whole_name),
    FolderKind(sharded_index.NAME, sharded_index.files, sharded_index.read, whole_name=sharded_index.whole_name),
    FolderKind(deepspeed_universal.NAME, deepspeed_universal.files, deepspeed_universal.read, has_masters=True),
    FolderKind(deepspeed.NAME, deepspeed_files.files, deepspeed.read, has_masters=True),
    FolderKind(rank_files.NAME, rank_files.files, rank_files.read),
)
"""In the order in which they are tried."""


def folder_source(path: str, has_models: bool = True) -> FolderSource | None:
    """The source of a folder that is a checkpoint, or whose index is at a path; None for any other path.

    `has_models` is whether one of several models is one, too. Raises OSError where a folder cannot be listed.
    """
    folder = Path(path)
    if not folder.exists():
        return None
    listing = Listing.of(folder) if folder.is_dir() else Listing.of(folder.parent, folder.name)
    for kind in KINDS:
        if kind.has_models and not has_models:
            continue
        if files := kind.files(listing):
            return FolderSource(str(listing.path), kind.name, files, kind.whole_name(files[0]))
    return None


def open_folder(source: FolderSource, limits: Limits) -> Folder:
    """Open a folder that is a checkpoint. Raises FormatError where its files do not agree with one another, UnsupportedError
    where masters are wanted and there are none."""
    kind = next(kind for kind in KINDS if kind.name == source.kind)
    if source.masters and not kind.has_masters:
        raise UnsupportedError(
            f"only folders of DeepSpeed have float32 masters beside the weights, and this is another ({kind.name})"
        )
    return kind.read(source, limits)
