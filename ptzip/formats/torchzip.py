"""The zip that torch.save writes since 1.6: `<archive>/data.pkl` and `<archive>/data/<key>`, and what else stands beside.

Rule: records are looked up as torch looks them up: the archive's name is that of the first entry up to its first slash,
and case does not matter (`PyTorchStreamReader`, `caffe2/serialize/inline_container.cc`).
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from ptzip.container.archive import STORED, Archive, Checked, Entry, is_zip, read_archive
from ptzip.container.checksum import Pieces
from ptzip.container.structs import END_SIGNATURE, LOCAL_SIGNATURE
from ptzip.container.writer import ALIGNMENT, Record
from ptzip.errors import Anomaly, FormatError, LimitError, UnsupportedError
from ptzip.formats.naming import described
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.unpickler import read_pickle
from ptzip.source import Literal, Payload, Source, read_all

PICKLE, STORAGES, SERIALIZATION_ID = "data.pkl", "data/", ".data/serialization_id"

SHORT = 8
"""More bytes than this `byteorder` and `.storage_alignment` never take."""

MOST_ALIGNMENT = 1 << 15
"""The padding and its field have to fit an extra field, which is shorter than 64 KiB."""

OTHER_ZIPS = (
    ("constants.pkl", "a TorchScript archive: its code fixes dtypes, so it is not a checkpoint to slim"),
    (".data/extern_modules", "a torch.package, which this version does not open yet"),
    ("archive_format", "an exported program (.pt2), which this version does not open yet"),
)


@dataclass(frozen=True)
class TorchZip:
    """One such zip, opened: nothing but the directory and the pickle has been read."""

    archive: Archive
    prefix: str
    pickle: Pickle
    pickle_record: Checked

    @functools.cached_property
    def records(self) -> dict[str, Entry]:
        return _records(self.archive, self.prefix)

    @property
    def big_endian(self) -> bool:
        """Whether `byteorder` says so; files without it are little-endian."""
        entry = self.records.get("byteorder")
        return entry is not None and entry.size <= SHORT and read_all(entry.payload).strip() == b"big"

    @property
    def alignment(self) -> int:
        entry = self.records.get(".storage_alignment")
        digits = read_all(entry.payload).strip() if entry is not None and entry.size <= SHORT else b""
        alignment = max(int(digits), 1) if digits.isdigit() else ALIGNMENT
        if alignment > MOST_ALIGNMENT:
            raise UnsupportedError(f"the records are aligned to {alignment} bytes, expected at most {MOST_ALIGNMENT}")
        return alignment

    def storage(self, key: str) -> Entry:
        """The record of a storage; raises FormatError where it is missing."""
        entry = self.records.get((STORAGES + key).lower())
        if entry is None:
            raise FormatError(f"record {STORAGES}{key} is missing, but the pickle refers to it")
        return entry

    def checked(self, key: str) -> Checked:
        """The bytes of a storage, whose CRC is noted while they pass."""
        return _checked(self.storage(key))

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """The records of the same archive with another pickle, and `storages` under keys "0", "1", … where the old were.

        Every other record is copied as it is, save the serialization id: torch derives it from all the others.
        """
        return list(self._rewritten(pickle, storages))

    def _rewritten(self, pickle: bytes, storages: list[Payload]) -> Iterator[Record]:
        pending = [Record(f"{self.prefix}{STORAGES}{index}", payload) for index, payload in enumerate(storages)]
        for entry in self.archive.entries:
            name = entry.name[len(self.prefix) :].lower()
            if name == PICKLE:
                yield Record(entry.name, Literal(pickle))
            elif name.startswith(STORAGES) and name != STORAGES:
                yield from pending
                pending = []
            elif name != SERIALIZATION_ID and not name.endswith("/"):
                stored = Checked(entry.stored, entry.name, entry.crc, Pieces()) if entry.method == STORED else entry.stored
                yield Record(entry.name, stored, entry.method, entry.size, crc=entry.crc)
        yield from pending


def read(source: Source, limits: Limits) -> TorchZip:
    """Open the zip in `source`. Raises FormatError, or UnsupportedError where it is a zip of another kind."""
    if not is_zip(source):
        raise FormatError(f"this is {described(source)}")
    if source.read(0, len(LOCAL_SIGNATURE)) not in (LOCAL_SIGNATURE, END_SIGNATURE):
        raise FormatError("this file ends as a zip but does not begin as one, so torch takes it for something else")
    archive = read_archive(source, limits)
    if not archive.entries:
        raise FormatError("this is an empty zip")
    first = archive.entries[0].name
    prefix = first[: first.find("/") + 1]
    records = _records(archive, prefix)
    for name, what in OTHER_ZIPS:
        if name in records:
            raise UnsupportedError(f"this is {what}")
    if PICKLE not in records:
        raise FormatError(f"this is a zip, but not one of torch.save: it has no record {PICKLE} beside {first}")
    record = _checked(records[PICKLE])
    return TorchZip(archive, prefix, _pickle(record, limits), record)


def _records(archive: Archive, prefix: str) -> dict[str, Entry]:
    """The entries by record name, in lower case, the first where a name stands twice."""
    return {entry.name[len(prefix) :].lower(): entry for entry in reversed(archive.entries) if entry.name.startswith(prefix)}


def _checked(entry: Entry) -> Checked:
    return Checked(entry.payload, entry.name, entry.crc, Pieces())


def _pickle(record: Checked, limits: Limits) -> Pickle:
    if record.length > limits.pickle_bytes:
        raise LimitError(f"record {record.name} is {record.length} bytes long, more than {limits.pickle_bytes}")
    data = read_all(record)
    pickle = read_pickle(data, 0, limits)
    if pickle.root is not None and pickle.end < len(data):
        left = len(data) - pickle.end
        pickle.anomalies.append(Anomaly("trailing", f"{left} bytes follow the pickle's STOP", pickle.end))
    return pickle
