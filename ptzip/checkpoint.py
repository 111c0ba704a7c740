"""What a user holds: an open checkpoint, of which nothing was executed and no tensor was read yet.

Rule: a checkpoint that was opened is not changed. `save` copies its bytes; an edit (see `recipes`) works on a tree of its
own opening and is written by `api`.
"""

import os
from types import TracebackType
from typing import TYPE_CHECKING

from ptzip import formats
from ptzip.errors import Anomaly, UnsupportedError
from ptzip.formats.container import Container, Part
from ptzip.io.compression import opened_compression, unpacked
from ptzip.io.payloads import write_at
from ptzip.io.sources import CHUNK, FileSource, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.nodes import Node, Pickle, pairs, text
from ptzip.tensors.references import StorageRefs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ptzip.tensors.tensor import Tensor


class Checkpoint:
    """An open checkpoint; close it, or use it in a `with` block. It owns its source, and closes it on any error too."""

    def __init__(self, source: Source, limits: Limits = DEFAULT_LIMITS) -> None:
        self.source = self._inner = source
        self.limits = limits
        try:
            self.compression = opened_compression(source)
            if self.compression:
                self._inner = unpacked(source, self.compression, limits)
            self.container: Container = formats.read(self._inner, limits)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.source.close()
        if self._inner is not self.source:
            self._inner.close()

    @property
    def content(self) -> Source:
        """The bytes that the layout speaks of: those of the file, or what was inside a compressed one."""
        return self._inner

    @property
    def format(self) -> str:
        """The format of the file, in a few words."""
        return f"{self.container.name} in {self.compression.name}" if self.compression else self.container.name

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pickles of the file, the one that holds the object first."""
        return self.container.parts

    @property
    def main(self) -> Part:
        """The pickle that holds the object; raises UnsupportedError where the file has none."""
        if not self.parts:
            raise UnsupportedError(f"this is a {self.format}, which has no pickle of its own")
        return self.parts[0]

    @property
    def pickle(self) -> Pickle:
        return self.main.pickle

    @property
    def anomalies(self) -> list[Anomaly]:
        return [anomaly for part in self.parts for anomaly in part.pickle.anomalies]

    @property
    def root(self) -> Node:
        """The tree of the object that was saved; raises FormatError where the pickle is broken."""
        return self.main.root

    @property
    def storages(self) -> dict[str, StorageRefs]:
        """Every storage that the pickle refers to, by key, in order of first appearance."""
        return self.main.storages

    @property
    def top_level_keys(self) -> list[str]:
        """The top-level keys that are strings; none where the top-level object is not a dict."""
        return [name for key, _ in pairs(self.root) if (name := text(key)) is not None]

    def tensors(self) -> "Mapping[str, Tensor]":
        """Every tensor by its dotted name, in the order of the pickle; nothing of a tensor is read before it is asked for.

        A tensor is called as in a state dict, under the key that holds it: `model.model.0.conv.weight`. Other pickles of the
        file stand in front of the names of theirs. Raises FormatError where the pickle is broken; a file without one has none.
        """
        from ptzip.values.tensor_names import tensors_of  # here, so that slimming does not wait for what builds values

        return tensors_of(self.container, self.limits)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the same bytes to `path`."""
        from pathlib import Path  # here, since most who open a file write none, and wait for this

        from ptzip.io.atomic_output import new_file

        with new_file(Path(path)) as descriptor:
            for at in range(0, self.source.size, CHUNK):
                write_at(descriptor, self.source.read(at, min(CHUNK, self.source.size - at)), at)


def open_checkpoint(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Checkpoint:
    """Open the checkpoint at `path`, its format told by its content.

    Raises FormatError, UnsupportedError, LimitError or OSError.
    """
    return Checkpoint(FileSource(path), limits)
