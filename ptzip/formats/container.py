"""What every format provides: pickles, the storages they refer to, and a list of everything in the file."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from ptzip.errors import Anomaly, CutError, FormatError, PickleError, UnsupportedError, beyond
from ptzip.io.payloads import CheckedPayload, Payload, SourcePayload, read_all
from ptzip.io.sources import BytesSource, Position, Source, Window, placed, position
from ptzip.limits import Limits
from ptzip.pickling.machine import CUT
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.reader import read_pickle
from ptzip.tensors.dtypes import DType
from ptzip.tensors.references import StorageRefs, storage_refs
from ptzip.zip.writer import ALIGNMENT, Record


class Member(NamedTuple):
    """One record or range of a file, for a list: `offset` and `size` in bytes, and a few words on what it is."""

    name: str
    offset: int
    size: int
    note: str = ""


PICKLE_NOTE, TRAILING_NOTE = "pickle", "after everything that a loader reads"
"""Notes of members that are not storages."""


BARE = "bare pickle"
"""The name of the format of `formats.bare`."""


class NamedTensor(NamedTuple):
    """A tensor that the pickle of a tar only names by a persistent id; numbers count elements."""

    dtype: DType
    storage: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Part:
    """One pickle of a file. `stored` gives the bytes of a storage by its key, or raises FormatError.

    `record` has the pickle's own bytes where they have a CRC, `tensors` those of a tar by persistent id. Offsets in the pickle
    count from the first byte of `source`.
    """

    def __init__(
        self,
        name: str,
        pickle: Pickle,
        stored: Callable[[str], CheckedPayload],
        big_endian: bool = False,
        record: CheckedPayload | None = None,
        tensors: Mapping[str, NamedTensor] | None = None,
        source: Source | None = None,
    ) -> None:
        self.name = name
        self.pickle = pickle
        self.stored = stored
        self.big_endian = big_endian
        self.record = record
        self.tensors: Mapping[str, NamedTensor] = {} if tensors is None else tensors
        self._source = source

    @functools.cached_property
    def source(self) -> Source | None:
        """What has the pickle's bytes; None for a pickle that no file has."""
        return record_source(self.record) if self._source is None and self.record else self._source

    @property
    def root(self) -> Node:
        """The tree of the object that was saved; raises FormatError where the pickle is broken."""
        if self.pickle.root is None:
            with self.placed():
                raise broken(self.name, self.pickle)
        return self.pickle.root

    @property
    def anomalies(self) -> list[Anomaly]:
        """Those of the pickle, each at its position in the file."""
        return [
            one if one.offset is None else Anomaly(one.kind, one.message, *self.position(one.offset))
            for one in self.pickle.anomalies
        ]

    def position(self, offset: int) -> Position:
        """Where a byte of the pickle is in the file."""
        return Position(offset) if self.source is None else position(self.source, offset)

    def placed(self) -> contextlib.AbstractContextManager[None]:
        """Let errors about the pickle say where in the file they are."""
        return contextlib.nullcontext() if self.source is None else placed(self.source)

    @functools.cached_property
    def storages(self) -> dict[str, StorageRefs]:
        """Every storage that the pickle refers to, by key in order of first appearance."""
        with self.placed():
            return storage_refs(self.pickle.persistents)

    def release(self) -> None:
        """Let go of the tree, which takes ten times the memory of the pickle; the bytes of storages can still be read."""
        self.pickle = Pickle(None, self.pickle.protocol)
        self.__dict__.pop("storages", None)

    def check_storages(self) -> None:
        """Raise FormatError unless every storage has the right number of bytes."""
        _ = self.root  # a pickle that breaks off has named only some of its storages
        for storage in self.storages.values():
            payload = self.stored(storage.key)
            if payload.length != storage.size:
                raise FormatError(f"record {payload.name} is {payload.length} bytes long, expected {storage.size}")


def broken(name: str, pickle: Pickle) -> FormatError:
    """The error for a pickle that breaks off: CutError where its bytes end, PickleError where they are wrong."""
    last = pickle.anomalies[-1]
    kind = CutError if last.kind == CUT else PickleError
    return kind(f"{name} is broken: {last.message}", last.offset)


class Container(Protocol):
    """One opened file, whatever its format."""

    @property
    def name(self) -> str:
        """The format, in a few words."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pickles of the file, the one with the saved object first; none in a file of tensors alone."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Everything in the file, by offset."""

    @property
    def refusal(self) -> str:
        """Why the file cannot be slimmed; "" where it can."""

    @property
    def alignment(self) -> int:
        """The alignment of the payloads of a rewritten file, in bytes."""

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """The records of a torch zip that holds this pickle and these storages, under keys "0", "1", …

        Raises UnsupportedError where there is a refusal.
        """


class ReadOnly:
    """A format that cannot be slimmed."""

    refusal: str
    alignment = ALIGNMENT

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        raise UnsupportedError(self.refusal)


def record_source(record: CheckedPayload, data: bytes | None = None) -> Source:
    """The bytes of a record: a part of the file or, where they are compressed there, a copy in memory (`data`)."""
    base = record.base
    if isinstance(base, SourcePayload):
        return Window(base.source, base.offset, base.length)
    return BytesSource(read_all(base) if data is None else data, record.name, Position(0, record.name))


def read_record(record: CheckedPayload, limits: Limits) -> Pickle:
    """The pickle in a record; bytes after its STOP are an anomaly."""
    if record.length > limits.pickle_bytes:
        raise beyond("pickle_bytes", limits.pickle_bytes, f"record {record.name} is {record.length:,} bytes long, above")
    data = read_all(record)
    with placed(record_source(record, data)):
        pickle = read_pickle(data, 0, limits)
    if pickle.root is not None and pickle.end < len(data):
        left = len(data) - pickle.end
        pickle.anomalies.append(Anomaly("trailing", f"{left} bytes follow the pickle's STOP", pickle.end))
    return pickle


def nothing_stored(key: str) -> CheckedPayload:
    """`Part.stored` of a pickle without storages."""
    raise FormatError(f"storage {key} is not in this file: the pickle was taken out of its checkpoint")


def stored_in(payloads: Mapping[str, Payload]) -> Callable[[str], CheckedPayload]:
    """`Part.stored` of storages without a CRC."""

    def find(key: str) -> CheckedPayload:
        if key not in payloads:
            raise FormatError(f"storage {key} is missing, but the pickle refers to it")
        return CheckedPayload(payloads[key], f"storage {key}", None)

    return find
