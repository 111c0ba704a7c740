"""The files that a command works on: those that are named, and of folders the checkpoints in them and below."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ptzip import api
from ptzip.errors import EditError, PtzipError
from ptzip.io.folders import has_model_suffix
from ptzip.io.urls import is_url, redacted

if TYPE_CHECKING:
    from ptzip.io.folders import FolderSource


class File(NamedTuple):
    """A file to work on, or a folder that is one checkpoint (`is_folder`): `folder` is the folder that was named and walked, ""
    where the path itself was named, `whole_name` the name of one file with all its tensors, where its loader takes one."""

    path: str
    folder: str = ""
    is_folder: bool = False
    whole_name: str = ""

    @property
    def is_named(self) -> bool:
        return not self.folder

    @property
    def has_model_suffix(self) -> bool:
        return self.is_folder or has_model_suffix(redacted(self.path))


Opened = Callable[[str], "FolderSource | None"]
"""The files of a folder that is one checkpoint; None for any other folder."""


def walk(paths: Iterable[str], opened: Opened = lambda folder: None) -> Iterator[File]:
    """All files, but folders that are one checkpoint, as `opened` says, instead of their contents; a folder that cannot be
    listed is a file, so that it is reported.
    """
    for path in paths:
        if is_url(path):
            yield from _remote(path)
            continue
        if not os.path.isdir(path):
            yield File(path)
            continue
        unlisted, taken = list[OSError](), set[str]()
        for folder, folders, names in os.walk(path, onerror=unlisted.append):
            folders.sort()
            files = [os.path.normpath(os.path.join(folder, name)) for name in sorted(names)]
            if os.path.normpath(folder) not in map(os.path.dirname, taken) and (inside := opened(folder)) is not None:
                taken.update(os.path.normpath(os.path.join(inside.path, file)) for file in inside.files)
                yield File(os.path.normpath(folder), "" if folder == path else path, True, inside.whole_name)
            yield from (File(file, path) for file in files if file not in taken)
        yield from (File(str(error.filename)) for error in unlisted)


def _remote(url: str) -> Iterator[File]:
    """The files that a URL names; the folder of those that match a pattern is what precedes its first sign."""
    from ptzip.io.remote import PATTERN, expand_remote  # here, since most files are local

    try:
        found = expand_remote(url)
    except (PtzipError, OSError):
        found = [url]
    folder = url if url.endswith("/") else ""
    if not folder and found != [url]:
        folder = url[: min(at for sign in PATTERN if (at := url.find(sign)) >= 0)].rpartition("/")[0] + "/"
    yield from (File(file, folder) for file in found)


def checkpoints(paths: list[str], has_others: bool = False, opened: Opened = api.folder_source) -> list[File]:
    """The files that are named, and in folders those with the suffix of a checkpoint. Raises EditError where there are none.

    With a folder that is one checkpoint, what else is in it is training's, and left out unless it `has_others`.
    """
    found = [file for file in walk(paths, opened) if file.is_named or file.has_model_suffix]
    folders = [os.path.join(file.path, "") for file in found if file.is_folder and not has_others]
    found = [file for file in found if not file.path.startswith(tuple(folders))]
    if paths and not found:
        raise EditError(
            f"no file in {', '.join(map(redacted, paths))} has the suffix of a checkpoint: name the files themselves"
        )
    return found
