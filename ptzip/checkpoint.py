"""What a user holds: an open checkpoint, of which nothing was executed and no tensor was read yet.

Rule: a checkpoint that was opened is not changed. `save` copies its bytes; an edit (see `recipes`) works on a tree of its
own opening and is written by `api`.
"""

import functools
import os
from pathlib import Path
from types import TracebackType

from ptzip.errors import Anomaly, FormatError
from ptzip.formats import torchzip
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.nodes import Node, Pickle, pairs, text
from ptzip.source import CHUNK, BytesSource, FileSource
from ptzip.target import new_file, write_at
from ptzip.tensors.rebuild import Storage, storages


class Checkpoint:
    """An open checkpoint; close it, or use it in a `with` block."""

    def __init__(self, source: FileSource | BytesSource, limits: Limits = DEFAULT_LIMITS) -> None:
        self.source = source
        self.zip = torchzip.read(source, limits)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.source.close()

    @property
    def pickle(self) -> Pickle:
        return self.zip.pickle

    @property
    def anomalies(self) -> list[Anomaly]:
        return self.pickle.anomalies

    @property
    def root(self) -> Node:
        """The tree of the object that was saved; raises FormatError where the pickle is broken."""
        if self.pickle.root is None:
            raise FormatError(f"record {torchzip.PICKLE} is broken: {self.anomalies[-1]}")
        return self.pickle.root

    @functools.cached_property
    def storages(self) -> dict[str, Storage]:
        """Every storage that the pickle refers to, by key, in order of first appearance."""
        return storages(self.pickle.persistents)

    @property
    def keys(self) -> list[str]:
        """The texts among the top-level keys; none where the checkpoint is no dict."""
        return [name for key, _ in pairs(self.root) if (name := text(key)) is not None]

    def check_storages(self) -> None:
        """Raise FormatError unless every storage has a record of the right size."""
        _ = self.root  # a pickle that breaks has named only some of its storages
        for storage in self.storages.values():
            entry = self.zip.storage(storage.key)
            if entry.size != storage.size:
                raise FormatError(f"record {entry.name} is {entry.size} bytes long, expected {storage.size}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the same bytes to `path`."""
        with new_file(Path(path)) as descriptor:
            for at in range(0, self.source.size, CHUNK):
                write_at(descriptor, self.source.read(at, min(CHUNK, self.source.size - at)), at)


def open_checkpoint(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Checkpoint:
    """Open the checkpoint at `path`, its format told by its content.

    Raises FormatError, UnsupportedError, LimitError or OSError.
    """
    source = FileSource(path)
    try:
        return Checkpoint(source, limits)
    except BaseException:
        source.close()
        raise
