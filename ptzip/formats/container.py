"""What every format gives: pickles, the storages they refer to, and a list of all that is in the file.

Rule: a format says where bytes are, never what they mean.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from ptzip.errors import Anomaly, CutError, FormatError, LimitError, PickleError, UnsupportedError
from ptzip.io.payloads import CheckedPayload, Payload, read_all
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.reader import CUT, read_pickle
from ptzip.tensors.dtypes import DType
from ptzip.tensors.references import StorageRefs, storage_refs
from ptzip.zip.writer import ALIGNMENT, Record


class Member(NamedTuple):
    """One record or stretch of a file, for a list: `offset` and `size` in bytes, `note` a few words on what it is."""

    name: str
    offset: int
    size: int
    note: str = ""


class NamedTensor(NamedTuple):
    """A tensor that a pickle knows by a persistent id alone, as tar files do; numbers count elements."""

    dtype: DType
    storage: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Part:
    """One pickle of a file. `stored` gives the bytes of a storage by its key, or raises FormatError.

    `record` are the pickle's own bytes, where they have a CRC to be checked.
    """

    def __init__(
        self,
        name: str,
        pickle: Pickle,
        stored: Callable[[str], CheckedPayload],
        big_endian: bool = False,
        record: CheckedPayload | None = None,
        tensors: Mapping[str, NamedTensor] | None = None,
    ) -> None:
        self.name = name
        self.pickle = pickle
        self.stored = stored
        self.big_endian = big_endian
        self.record = record
        self.tensors: Mapping[str, NamedTensor] = {} if tensors is None else tensors

    @property
    def root(self) -> Node:
        """The tree of the object that was saved; raises FormatError where the pickle is broken."""
        if self.pickle.root is None:
            raise broken(self.name, self.pickle)
        return self.pickle.root

    @functools.cached_property
    def storages(self) -> dict[str, StorageRefs]:
        """Every storage that the pickle refers to, by key, in order of first appearance."""
        return storage_refs(self.pickle.persistents)

    def check_storages(self) -> None:
        """Raise FormatError unless every storage has bytes of the right number."""
        _ = self.root  # a pickle that breaks has named only some of its storages
        for storage in self.storages.values():
            payload = self.stored(storage.key)
            if payload.length != storage.size:
                raise FormatError(f"record {payload.name} is {payload.length} bytes long, expected {storage.size}")


def broken(name: str, pickle: Pickle) -> FormatError:
    """The error of a pickle that breaks off: it was cut, or is wrong."""
    last = pickle.anomalies[-1]
    kind = CutError if last.kind == CUT else PickleError
    return kind(f"{name} is broken: {last}")


class Container(Protocol):
    """One file, opened by the format it has."""

    @property
    def name(self) -> str:
        """The format, in a few words."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pickles of the file, the one that holds the object first; none in a file without."""
        ...

    @property
    def members(self) -> tuple[Member, ...]:
        """Everything in the file, in the order of the bytes."""
        ...

    @property
    def refusal(self) -> str:
        """Why the file cannot be slimmed, or ""."""
        ...

    @property
    def alignment(self) -> int:
        """To how many bytes the payloads of a rewritten file are aligned."""
        ...

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """The records of a torch zip that holds this pickle and these storages, under keys "0", "1", …

        Raises UnsupportedError where there is a refusal.
        """
        ...


class ReadOnly:
    """What a format has that is only looked at."""

    refusal: str
    alignment = ALIGNMENT

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        raise UnsupportedError(self.refusal)


def read_record(record: CheckedPayload, limits: Limits) -> Pickle:
    """The pickle in a record; what follows its STOP is an anomaly."""
    if record.length > limits.pickle_bytes:
        raise LimitError(f"record {record.name} is {record.length} bytes long, more than {limits.pickle_bytes}")
    data = read_all(record)
    pickle = read_pickle(data, 0, limits)
    if pickle.root is not None and pickle.end < len(data):
        left = len(data) - pickle.end
        pickle.anomalies.append(Anomaly("trailing", f"{left} bytes follow the pickle's STOP", pickle.end))
    return pickle


def nothing_stored(key: str) -> CheckedPayload:
    """`Part.stored` of a pickle that has no storages beside it."""
    raise FormatError(f"storage {key} is not in this file: the pickle was taken out of its checkpoint")
