"""An open checkpoint: a read-only mapping of tensors, of which nothing was executed and no tensor was read yet.

An open checkpoint never changes. `save` copies its bytes; edits work on a copy of its tree, or on the tree itself once the
checkpoint released it.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ptzip.errors import Anomaly, PtzipError, UnsupportedError
from ptzip.formats.collection import Collection
from ptzip.formats.container import Container, Part
from ptzip.formats.detect import open_container
from ptzip.formats.folders import open_any
from ptzip.io.compression import compression_of, unpacked
from ptzip.io.folders import FolderSource
from ptzip.io.open_source import open_source
from ptzip.io.sources import (
    FileSource,
    NamedSource,
    Openable,
    Source,
    named_member,
    placed,
    unchanged,
)
from ptzip.io.urls import MEMBER_MARK
from ptzip.limits import DEFAULT_LIMITS, Limits, limits_from
from ptzip.pickling.nodes import Node, Pickle, pairs, text
from ptzip.tensors.references import StorageRefs
from ptzip.text import did_you_mean, listed

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor


class Checkpoint(Mapping[str, "Tensor"]):
    """An open checkpoint: a mapping from the dotted names of its tensors to lazy `Tensor`s, in the order of the pickle.

    Names are those of a state dict below the key that holds it, such as `model.model.0.conv.weight`; tensors of further
    pickles have the name of their pickle as a prefix. Close it, or use it in a `with` block. It owns its source, and closes it
    on any error too. Looking at tensors raises FormatError where the pickle is broken.

    Of a tar or zip of files, the one checkpoint in it is opened. Where it holds several, they are opened one by one
    (`member`), and names of tensors have that of their checkpoint as a prefix; `is_whole` treats one like several.
    """

    def __init__(self, source: Source, limits: Limits = DEFAULT_LIMITS, is_whole: bool = False) -> None:
        self.source = self._inner = source
        self.limits = limits
        self._content: Source | None = None
        self._owned: Checkpoint | None = None
        """What is closed with this one: the file that it was taken out of."""
        self._is_closed, self._is_whole = False, is_whole
        self._container: Container | None = None
        self.collection: Collection | None = None
        """The tar or zip of files that the checkpoint is in."""
        self._tensors: Mapping[str, Tensor] | None = None
        try:
            with unchanged(source, is_replaced=True):
                self.compression = None if isinstance(source, FolderSource) else compression_of(source)
                if self.compression:
                    self._inner = unpacked(source, self.compression, limits)
                with placed(self._inner):
                    self._container = self._opened()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the source and release the tree; tensors can no longer be read."""
        self._is_closed = True
        self._container = self._tensors = None
        self.source.close()
        for opened in (self._inner, self._content, self._owned):
            if opened is not None and opened is not self.source:
                opened.close()

    def _opened(self) -> Container:
        """The container of the content, or of the only checkpoint in it."""
        if isinstance(self.source, FolderSource):
            from ptzip.formats.folders.detect import open_folder  # most checkpoints are files

            return open_folder(self.source, self.limits)
        if self.collection is None:
            found = open_container(self._inner, self.limits)
            if not isinstance(found, Collection):
                return found
            self.collection = found
        if self._is_whole or not self.collection.only:
            return self.collection
        if self._content is None:
            self._content = self.collection.opened(self.collection.only, self.limits)
        with placed(self._content):
            return open_container(self._content, self.limits)

    def member(self, name: str) -> "Checkpoint":
        """One checkpoint of a tar or zip of files, as a file of its own, which needs this one to stay open.

        Raises FormatError where there is none of that name.
        """
        return Checkpoint(self.taken(name), self.limits)

    def taken(self, name: str) -> NamedSource:
        """The bytes of one checkpoint of a tar or zip of files, to be closed by the caller; raises as `member` does."""
        if self.collection is None:
            raise UnsupportedError(f"this is a {self.format}, not a tar or zip of files, so there is no {name} in it")
        opened = self.collection.opened(name, self.limits)
        return NamedSource(opened, f"{self.source.name}{MEMBER_MARK}{name}", self.source)

    # A mapping of tensors

    def __getitem__(self, name: str) -> "Tensor":
        found = self.tensors()
        if name not in found:
            raise KeyError(_unknown(name, found))
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors())

    def __len__(self) -> int:
        return len(self.tensors())

    def __contains__(self, name: object) -> bool:
        return name in self.tensors()

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        what = "closed" if self._is_closed else f"{self.format}, {self.source.size:,} bytes"
        return f"<Checkpoint {self.source.name!r}: {what}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from ptzip.notebook import fact_table  # here, since only notebooks ask for it

        if self._is_closed:
            return fact_table("Checkpoint", {"file": self.source.name, "state": "closed"})
        facts: dict[str, object] = {"file": self.source.name, "format": self.format, "size": self.source.size}
        try:
            facts |= {"tensors": len(self), "keys": self.top_level_keys if self.parts else [], "metadata": self.metadata}
        except PtzipError as error:
            facts["error"] = str(error)
        return fact_table("Checkpoint", facts)

    def tensors(self) -> "Mapping[str, Tensor]":
        """Every tensor by name, as a mapping that outlives `close`; built once. Raises FormatError for a broken pickle."""
        if self._tensors is None:
            from ptzip.values.tensor_names import tensors_of  # here, so that slimming does not load what builds values

            self._tensors = tensors_of(self.container, self.limits)
        return self._tensors

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the header of a safetensors file; empty for other formats."""
        from ptzip.values.tensor_names import metadata_of  # as above

        return metadata_of(self.container) or {}

    # What is in the file

    @property
    def container(self) -> Container:
        """The file as its format describes it. Raises UnsupportedError once the checkpoint is closed."""
        if self._is_closed:
            raise UnsupportedError(f"the checkpoint {self.source.name} is closed")
        if self._container is None:
            self._container = self._opened()
        return self._container

    def release(self) -> Container:
        """Hand the container over to an edit that changes its tree: that saves a copy, a tenth of the time of `slim`.

        The checkpoint reads the file again when its container is next needed. Only for a checkpoint that nobody else holds:
        nodes that were taken from it before belong to the edit too.
        """
        container, self._container, self._tensors = self.container, None, None
        return container

    def drop_tree(self) -> None:
        """Let go of the tree, but not of the tensors. Only for a checkpoint that nobody else holds, as `release`."""
        found = self.tensors()
        for part in self.release().parts:
            part.release()
        self._tensors = found

    @property
    def path(self) -> str | None:
        """The path that the checkpoint was opened from; None for bytes and file objects."""
        return os.fspath(self.source.path) if isinstance(self.source, FileSource | FolderSource) else None

    @property
    def unpacked(self) -> Source:
        """The bytes of the file, decompressed."""
        return self._inner

    @property
    def content(self) -> Source:
        """The bytes of the checkpoint: those of the file, decompressed and taken out of what it is in."""
        return self._inner if self._content is None else self._content

    @property
    def format(self) -> str:
        """The format of the file in a few words, such as "torch.save zip", and what it is in."""
        words = self.container.name
        if self.collection is not None and self.collection.only:
            words += f", {self.collection.only} in a {self.collection.name}"
        return f"{words} in {self.compression.name}" if self.compression else words

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pickles of the file, the one that holds the object first."""
        return self.container.parts

    @property
    def main(self) -> Part:
        """The pickle that holds the object; raises UnsupportedError where the file has none."""
        if not self.parts:
            raise self.no_object()
        return self.parts[0]

    def no_object(self) -> UnsupportedError:
        """The error for a file without a pickle."""
        if isinstance(self.container, Collection):
            names = listed([*self.container.checkpoints])
            return UnsupportedError(f"this is a {self.format}, not one checkpoint: open one in it as FILE::NAME ({names})")
        return UnsupportedError(f"this is a {self.format}, which has no pickle of its own")

    @property
    def pickle(self) -> Pickle:
        return self.main.pickle

    @property
    def anomalies(self) -> list[Anomaly]:
        return [anomaly for part in self.parts for anomaly in part.anomalies]

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

    def save(self, path: str | os.PathLike[str], *, sync: bool = True) -> None:
        """Write the bytes that were opened to `path`, atomically; with `sync` they are on the disk afterwards.

        Raises ChangedError where another program wrote to the file; one that was replaced is still the old one here.
        UnsupportedError is raised for a folder.
        """
        if isinstance(self.source, FolderSource):
            raise UnsupportedError(f"{self.source.name} is a folder: ptzip.slim and ptzip.convert write one file of it")
        from ptzip.io.atomic_output import local_path, new_files  # here, since few callers write
        from ptzip.io.payloads import CopiedFile

        with (
            local_path(path, overwrite=True) as target,
            new_files([target], self.source, overwrite=True, may_be_replaced=True, sync=sync) as files,
        ):
            files.outputs[0].write(CopiedFile(self.source))


def _unknown(name: object, known: "Mapping[str, Tensor]") -> str:
    """What a KeyError says of a name: which ones are similar."""
    return f"no tensor {name!r} among {len(known):,}{did_you_mean(str(name), known)}"


def open_checkpoint(source: Openable, limits: Limits | Mapping[str, int] | None = None, *, masters: bool = False) -> Checkpoint:
    """Open a checkpoint from a path, bytes, or a binary file object (which stays open); the content determines the format.

    The path may be that of a folder that is one checkpoint, or of its index. A path FILE::NAME opens one checkpoint of a tar or
    zip of files. Of a folder of DeepSpeed, `masters` takes the float32 weights of the optimizer where there are 16-bit weights
    too. Nothing is executed, and no tensor is read. Raises FormatError, UnsupportedError, LimitError or OSError.
    """
    used = limits_from(limits)  # a wrong limit is an error before the file is opened
    file, name = named_member(source)
    return checkpoint_in(open_any(file, masters=masters), name, used)


def checkpoint_in(source: Source, name: str, limits: Limits) -> Checkpoint:
    """The checkpoint in an open source or, with a name, that one of the tar or zip of files in it. It owns the source."""
    whole = Checkpoint(source, limits)
    if not name:
        return whole
    try:
        found = whole.member(name)
    except BaseException:
        whole.close()
        raise
    found._owned = whole
    return found


@contextlib.contextmanager
def opened_bytes(source: Openable, limits: Limits) -> Iterator[Source]:
    """The bytes of a file, or of FILE::NAME, a checkpoint in a tar or zip of files, as they are.

    Raises ChangedError at the end of the block where another program changed the file meanwhile.
    """
    file, name = named_member(source)
    with contextlib.ExitStack() as opened:
        found = open_source(file)
        if name:
            found = opened.enter_context(Checkpoint(found, limits, is_whole=True)).taken(name)
        opened.callback(found.close)
        opened.enter_context(unchanged(found))
        yield found
