"""A folder as one source: its files one after the other, of which only some are open at a time."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.sources import BaseSource, FileSource, Identity, Position, Source, changed, closed, special, whole
from ptzip.io.streams import Stream

MOST_OPEN = 64
"""So many files of a folder are open at a time: a system may allow a process no more than 256."""

MODEL_SUFFIXES = frozenset(
    (
        *(".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".safetensors", ".ptl", ".pt2", ".tar", ".npy", ".npz", ".joblib"),
        *(".model", ".gz", ".zst", ".zip", ".7z", ".h5"),
    )
)
"""The suffixes by which files in folders are taken for checkpoints."""


def has_model_suffix(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in MODEL_SUFFIXES


class FolderFile(NamedTuple):
    """A file of a folder, or what is packed in one, as a source that the folder opens when it is read; closing does nothing."""

    folder: "FolderSource"
    path: str
    """Of the file, below the folder."""
    size: int
    open: Callable[[], Source]
    inside: str = ""
    """What is packed in the file; "" for the file itself."""

    @property
    def name(self) -> str:
        return self.path

    @property
    def origin(self) -> Position:
        return Position(0, self.inside or self.path)

    def read(self, offset: int, length: int) -> bytes:
        return self.folder.opened(self.open).read(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.folder.opened(self.open).read_into(offset, buffer)

    def whole(self) -> Stream:
        return whole(self)

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        self.folder.check_unchanged(may_be_replaced)

    def close(self) -> None:
        pass


def _opened(open: Callable[[], Source]) -> Source:
    return open()


class FolderSource(BaseSource):
    """The `files` of a folder of a `kind`, by their paths below it, as one source of all their bytes in that order.

    Raises FormatError for a file that is no regular one, OSError for one that cannot be looked at.
    """

    def __init__(self, path: str, kind: str, files: Sequence[str], whole_name: str = "") -> None:
        self.path = self.name = path
        self.kind = kind
        self.whole_name = whole_name
        """The name of one file with all tensors, where the loader of the folder takes one."""
        self.identities = {file: self._identity(file) for file in files}
        self.files = {file: self._file(file) for file in files}
        self.size = sum(file.size for file in self.files.values())
        self.opened = functools.lru_cache(MOST_OPEN)(_opened)
        """What a function opens, which is called again once many others were read."""
        self.masters = False
        """Whether the float32 masters of an optimizer are wanted where there are 16-bit weights too."""
        self._is_closed = False

    @property
    def binary_files(self) -> dict[str, FolderFile]:
        """All files but an index in JSON, of which nothing is loaded but names, and empty shards, as processes without items
        of their own write in torch.distributed.checkpoint."""
        files = self.files.items()
        return {path: file for path, file in files if not path.endswith(".json" if file.size else (".json", ".distcp"))}

    @property
    def other_paths(self) -> Iterator[str]:
        """The paths of all regular files in the folder and below it that are none of its files."""
        for folder, _, names in os.walk(self.path):
            for path in (os.path.join(folder, name) for name in sorted(names)):
                if os.path.relpath(path, self.path).replace(os.sep, "/") not in self.files and os.path.isfile(path):
                    yield path

    def __copy__(self) -> "FolderSource":
        again = FolderSource(self.path, self.kind, tuple(self.files), self.whole_name)
        again.identities = self.identities  # of the same version: `_open` and `check_unchanged` compare with these
        again.masters = self.masters
        return again

    def packed(self, path: str, inside: str, unpack: Callable[[], Source]) -> FolderFile:
        """What a function unpacks of a file."""
        return FolderFile(self, path, self.opened(unpack).size, unpack, inside)

    def _file(self, path: str) -> FolderFile:
        return FolderFile(self, path, self.identities[path].size, functools.partial(self._open, path))

    def _identity(self, file: str) -> Identity:
        path = os.path.join(self.path, file)
        if kind := special(path):
            raise FormatError(f"{file} in this folder is {kind}, expected a regular file")
        return Identity.of(os.stat(path))

    def _open(self, file: str) -> FileSource:
        """Raises ChangedError where the file is another one by now."""
        if self._is_closed:
            raise closed(self.name)
        found = FileSource(os.path.join(self.path, file))
        if Identity.of(found.status) != self.identities[file]:
            raise changed(f"another program replaced {file}")
        return found

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for file in self.files.values():
            count = max(min(file.size - offset, len(buffer)), 0)
            if count:
                file.read_into(offset, buffer[:count])
            offset, buffer = max(offset - file.size, 0), buffer[count:]
        if len(buffer):
            raise FormatError(f"the files of this folder end early: {len(buffer)} bytes are missing")

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        for file, known in self.identities.items():
            try:
                now = self._identity(file)
            except FileNotFoundError:
                raise changed(f"another program removed {file}") from None
            if now != known:
                raise changed(f"another program wrote to {file}, or replaced it")

    def close(self) -> None:
        self._is_closed = True
        self.opened.cache_clear()
