"""The zip that torch.save writes since 1.6: `<archive>/data.pkl`, `<archive>/data/<key>` and a few small records.

Records are looked up as torch looks them up: the archive's name is that of the first entry up to its first slash, and case
does not matter (`PyTorchStreamReader`, `caffe2/serialize/inline_container.cc`).
"""

import functools
from collections.abc import Callable

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Member, Part, read_record
from ptzip.io.payloads import BytesPayload, CheckedPayload, Payload, SourcePayload, read_all
from ptzip.limits import Limits
from ptzip.zip.reader import Archive, Entry
from ptzip.zip.writer import ALIGNMENT, Record

PICKLE, STORAGES = "data.pkl", "data/"

VERSION = "version"
"""The record that torch writes into every archive of its own."""

BYTEORDER, STORAGE_ALIGNMENT, FORMAT_VERSION = "byteorder", ".storage_alignment", ".format_version"
"""Small records: the byte order of storages (since torch 2.1), the alignment of records and the layout (since 2.7)."""

SERIALIZATION_ID = ".data/serialization_id"

SHORT = 8
"""`byteorder` and `.storage_alignment` are never longer, in bytes."""

MOST_ALIGNMENT = 1 << 15
"""The padding has to fit into an extra field, which is shorter than 64 KiB."""


class TorchZip:
    """One such zip; only the directory and the pickle were read."""

    def __init__(self, archive: Archive, prefix: str, limits: Limits) -> None:
        self.archive = archive
        self.prefix = prefix
        self.limits = limits

    name = "torch.save zip"
    refusal = ""

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        record = self.records[PICKLE].checked
        pickle = read_record(record, self.limits)
        stored = finder((STORAGES + "{}",), self.records)
        return (Part(f"record {PICKLE}", pickle, stored, is_big_endian(self.records), record),)

    @property
    def members(self) -> tuple[Member, ...]:
        return entry_members(self.archive)

    @functools.cached_property
    def records(self) -> dict[str, Entry]:
        return records(self.archive, self.prefix)

    @property
    def alignment(self) -> int:
        entry = self.records.get(STORAGE_ALIGNMENT)
        digits = read_all(entry.payload).strip() if entry is not None and entry.size <= SHORT else b""
        alignment = max(int(digits), 1) if digits.isdigit() else ALIGNMENT
        if alignment > MOST_ALIGNMENT:
            raise UnsupportedError(f"the records are aligned to {alignment} bytes, expected at most {MOST_ALIGNMENT}")
        return alignment

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """The records of the same archive with another pickle, and `storages` under keys "0", "1", … where the old were.

        Every other record is copied, except the serialization id, which torch derives from all the others, and further ones of
        one name, which torch does not read.
        """
        pending = [Record(f"{self.prefix}{STORAGES}{index}", payload) for index, payload in enumerate(storages)]
        found, taken = list[Record](), set[str]()
        for entry in self.archive.entries:
            name = entry.name[len(self.prefix) :].lower() if entry.name.startswith(self.prefix) else ""
            if entry.name.lower() in taken:
                continue
            taken.add(entry.name.lower())
            if name == PICKLE:
                found.append(Record(entry.name, BytesPayload(pickle)))
            elif name.startswith(STORAGES) and name != STORAGES:
                found += pending
                pending = []
            elif name != SERIALIZATION_ID and not entry.name.endswith("/"):
                found.append(copied(entry))
        return found + pending


def copied(entry: Entry) -> Record:
    """An entry as it is, deflated or not. Raises UnsupportedError for one that is encrypted."""
    is_stored = isinstance(entry.payload, SourcePayload)
    stored = CheckedPayload(entry.stored, entry.name, entry.crc) if is_stored else entry.stored
    return Record(entry.name, stored, entry.method, entry.size, crc=entry.crc)


def prefix_of(name: str) -> str:
    """The folder of the archive that an entry is in, with its slash; "" where the name has none."""
    return name[: name.find("/") + 1]


def records(archive: Archive, prefix: str) -> dict[str, Entry]:
    """The entries by record name in lower case, the first of several that have one name."""
    return {entry.name[len(prefix) :].lower(): entry for entry in reversed(archive.entries) if entry.name.startswith(prefix)}


def finder(patterns: tuple[str, ...], found: dict[str, Entry]) -> Callable[[str], CheckedPayload]:
    """`Part.stored` of a zip: the bytes of the first record that exists of those whose names `patterns` make of the key."""

    def find(key: str) -> CheckedPayload:
        names = [pattern.format(key) for pattern in patterns]
        entry = next((found[name.lower()] for name in names if name.lower() in found), None)
        if entry is None:
            raise FormatError(f"record {names[0]} is missing, but the pickle refers to it")
        return entry.late

    return find


def is_big_endian(found: dict[str, Entry]) -> bool:
    """Whether the record `byteorder` says "big"; files without it are little-endian."""
    entry = found.get(BYTEORDER)
    return entry is not None and entry.size <= SHORT and read_all(entry.payload).strip() == b"big"


def storage_patterns(name: str) -> tuple[str, ...]:
    """The names of a pickle's storages: in the folder of its name, or in the one folder of TorchScript and torch.package."""
    stem = name.removesuffix(".pkl")
    return (f"{stem}/{{}}", f"{stem}/{{}}.storage", "constants/{}", "constants/{}.storage", "data/{}", ".data/{}.storage")


def fresh_records(pickle: bytes, storages: list[Payload], prefix: str = "archive/") -> list[Record]:
    """The records of a new archive, in the order in which torch 2.7 and later write them; torch 1.6 reads them too."""
    head = ((PICKLE, pickle), (FORMAT_VERSION, b"1"), (STORAGE_ALIGNMENT, b"%d" % ALIGNMENT), (BYTEORDER, b"little"))
    return [
        *(Record(prefix + name, BytesPayload(data)) for name, data in head),
        *(Record(f"{prefix}{STORAGES}{index}", payload) for index, payload in enumerate(storages)),
        Record(prefix + VERSION, BytesPayload(b"3\n")),
    ]


def entry_members(archive: Archive) -> tuple[Member, ...]:
    """The entries of a zip, in the order of the bytes."""
    entries = sorted(archive.entries, key=lambda entry: entry.header_offset)
    return tuple(Member(entry.name, entry.header_offset, entry.size) for entry in entries)
