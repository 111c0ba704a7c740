"""An open checkpoint: a read-only mapping of tensors, of which nothing was executed and no tensor was read yet.

An open checkpoint never changes. `save` copies its bytes; edits work on a copy of its tree, or on the tree itself once the
checkpoint released it.
"""

import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ptzip.errors import Anomaly, UnsupportedError
from ptzip.formats.container import Container, Part
from ptzip.formats.detect import open_container
from ptzip.io.compression import opened_compression, unpacked
from ptzip.io.sources import FileSource, Openable, Source, open_source
from ptzip.limits import DEFAULT_LIMITS, Limits, limits_from
from ptzip.pickling.nodes import Node, Pickle, pairs, text
from ptzip.tensors.references import StorageRefs

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor


class Checkpoint(Mapping[str, "Tensor"]):
    """An open checkpoint: a mapping from the dotted names of its tensors to lazy `Tensor`s, in the order of the pickle.

    Names are those of a state dict below the key that holds it, such as `model.model.0.conv.weight`; tensors of further
    pickles have the name of their pickle as a prefix. Close it, or use it in a `with` block. It owns its source, and closes it
    on any error too. Looking at tensors raises FormatError where the pickle is broken.
    """

    def __init__(self, source: Source, limits: Limits = DEFAULT_LIMITS) -> None:
        self.source = self._inner = source
        self.limits = limits
        self._is_closed = False
        self._container: Container | None = None
        self._tensors: Mapping[str, Tensor] | None = None
        try:
            self.compression = opened_compression(source)
            if self.compression:
                self._inner = unpacked(source, self.compression, limits)
            self._container = open_container(self._inner, limits)
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
        if self._inner is not self.source:
            self._inner.close()

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
            self._container = open_container(self._inner, self.limits)
        return self._container

    def release(self) -> Container:
        """Hand the container over to an edit that changes its tree: that saves a copy, a tenth of the time of `slim`.

        The checkpoint reads the file again when its container is next needed. Only for a checkpoint that nobody else holds:
        nodes that were taken from it before belong to the edit too.
        """
        container, self._container = self.container, None
        return container

    @property
    def path(self) -> str | None:
        """The path that the checkpoint was opened from; None for bytes and file objects."""
        return os.fspath(self.source.path) if isinstance(self.source, FileSource) else None

    @property
    def content(self) -> Source:
        """The bytes of the file, decompressed if the file is compressed."""
        return self._inner

    @property
    def format(self) -> str:
        """The format of the file in a few words, such as "torch.save zip"."""
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

    def save(self, path: str | os.PathLike[str], *, sync: bool = True) -> None:
        """Write the bytes that were opened to `path`, atomically; with `sync` they are on the disk afterwards.

        Raises ChangedError where another program wrote to the file; one that was replaced is still the old one here.
        """
        from pathlib import Path  # here, since few callers write, and pathlib takes time to import

        from ptzip.io.atomic_output import new_files  # as above
        from ptzip.io.payloads import SequentialFile, SourcePayload

        with new_files([Path(path)], self.source, overwrite=True, may_be_replaced=True, sync=sync) as files:
            files.outputs[0].write(SequentialFile([SourcePayload(self.source, 0, self.source.size)]))


def _unknown(name: object, known: "Mapping[str, Tensor]") -> str:
    """What a KeyError says of a name: which ones are similar."""
    from difflib import get_close_matches  # here, since few names are misspelled

    similar = get_close_matches(str(name), known, n=3)
    return f"no tensor {name!r}" + (
        f"; did you mean {' or '.join(map(repr, similar))}?" if similar else f" among {len(known):,}"
    )


def open_checkpoint(source: Openable, limits: Limits | Mapping[str, int] | None = None) -> Checkpoint:
    """Open a checkpoint from a path, bytes, or a binary file object (which stays open); the content determines the format.

    Nothing is executed, and no tensor is read. Raises FormatError, UnsupportedError, LimitError or OSError.
    """
    used = limits_from(limits)  # a wrong limit is an error before the file is opened
    return Checkpoint(open_source(source), used)
