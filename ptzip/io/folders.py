"""A folder as one source: its files one after the other, of which only some are open at a time."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError
from ptzip.io.sources import BaseSource, FileSource, Identity, Position, Source, changed, special, whole
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
    """One file of a folder, as a source that its folder opens when it is read; closing it does nothing."""

    folder: "FolderSource"
    path: str
    """Below the folder."""
    size: int

    @property
    def name(self) -> str:
        return self.path

    @property
    def origin(self) -> Position:
        return Position(0, self.path)

    def read(self, offset: int, length: int) -> bytes:
        return self.folder.opened(self.path).read(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.folder.opened(self.path).read_into(offset, buffer)

    def whole(self) -> Stream:
        return whole(self)

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        self.folder.check_unchanged(may_be_replaced)

    def close(self) -> None:
        pass


class HeldContent(NamedTuple):
    """What a function unpacks of a folder, as a source of `size` bytes: the folder holds some of those, the last that were
    read. Closing it does nothing."""

    folder: "FolderSource"
    unpack: Callable[[], Source]
    name: str
    size: int
    origin: Position

    @classmethod
    def of(cls, folder: "FolderSource", unpack: Callable[[], Source], name: str) -> "HeldContent":
        content = folder.held(unpack)
        return cls(folder, unpack, content.name, content.size, Position(0, name))

    def read(self, offset: int, length: int) -> bytes:
        return self.folder.held(self.unpack).read(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.folder.held(self.unpack).read_into(offset, buffer)

    def whole(self) -> Stream:
        return whole(self)

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        self.folder.check_unchanged(may_be_replaced)

    def close(self) -> None:
        pass


def _unpacked(unpack: Callable[[], Source]) -> Source:
    return unpack()


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
        self.files = {file: FolderFile(self, file, found.size) for file, found in self.identities.items()}
        self.size = sum(file.size for file in self.files.values())
        self.opened = functools.lru_cache(MOST_OPEN)(self._open)
        """A file by its path below the folder; raises ChangedError where it is another one by now."""
        self.held = functools.lru_cache(MOST_OPEN)(_unpacked)
        """What a function unpacks, which is called again once others were read."""
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

    def _identity(self, file: str) -> Identity:
        path = os.path.join(self.path, file)
        if kind := special(path):
            raise FormatError(f"{file} in this folder is {kind}, expected a regular file")
        return Identity.of(os.stat(path))

    def _open(self, file: str) -> FileSource:
        if self._is_closed:
            raise PtzipError(f"{self.name} is closed: read from it before closing it, or open it again")
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
        self.held.cache_clear()
