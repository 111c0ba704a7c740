"""Which folders are one checkpoint, by the files in them; any other folder is just where files are."""

import os
from collections.abc import Callable
from typing import NamedTuple

from ptzip.formats.folders import dcp
from ptzip.formats.folders.assembly import Folder
from ptzip.formats.folders.listing import Listing
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits


class FolderKind(NamedTuple):
    """`files` gives the files that such a folder consists of, the index first; None where it is no such folder. `read` opens
    it."""

    name: str
    files: Callable[[Listing], list[str] | None]
    read: Callable[[FolderSource, Limits], Folder]


KINDS = (FolderKind(dcp.NAME, dcp.files, dcp.read),)
"""In the order in which they are tried."""


def folder_source(path: str) -> FolderSource | None:
    """The source of a folder that is a checkpoint, or whose index is at a path; None for any other path.

    Raises OSError where a folder cannot be listed.
    """
    is_folder = os.path.isdir(path)
    if not is_folder and not os.path.isfile(path):
        return None
    listing = Listing.of(path) if is_folder else Listing.of(os.path.dirname(path) or ".", os.path.basename(path))
    for kind in KINDS:
        if files := kind.files(listing):
            return FolderSource(listing.path, kind.name, files)
    return None


def open_folder(source: FolderSource, limits: Limits) -> Folder:
    """Open a folder that is a checkpoint. Raises FormatError where its files do not agree with one another."""
    return next(kind for kind in KINDS if kind.name == source.kind).read(source, limits)
