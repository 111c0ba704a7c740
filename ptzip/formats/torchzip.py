"""The zip that torch.save writes since 1.6: `<archive>/data.pkl` and `<archive>/data/<key>`, and what else stands beside.

Rule: records are looked up as torch looks them up: the archive's name is that of the first entry up to its first slash,
and case does not matter (`PyTorchStreamReader`, `caffe2/serialize/inline_container.cc`).
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ptzip.container.archive import STORED, Archive, Checked, Entry
from ptzip.container.writer import ALIGNMENT, Record
from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.part import Member, Part, read_record
from ptzip.limits import Limits
from ptzip.source import Literal, Payload, read_all

PICKLE, STORAGES, SERIALIZATION_ID = "data.pkl", "data/", ".data/serialization_id"

SHORT = 8
"""More bytes than this `byteorder` and `.storage_alignment` never take."""

MOST_ALIGNMENT = 1 << 15
"""The padding and its field have to fit an extra field, which is shorter than 64 KiB."""


@dataclass(frozen=True)
class TorchZip:
    """One such zip, opened: nothing but the directory and the pickle has been read."""

    archive: Archive
    prefix: str
    limits: Limits

    name = "torch.save zip"
    refusal = ""

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        record = checked(self.records[PICKLE])
        pickle = read_record(record, self.limits)
        stored = finder((STORAGES + "{}",), self.records)
        return (Part(f"record {PICKLE}", pickle, stored, self.big_endian, record),)

    @property
    def members(self) -> tuple[Member, ...]:
        return entry_members(self.archive)

    @functools.cached_property
    def records(self) -> dict[str, Entry]:
        return records(self.archive, self.prefix)

    @property
    def big_endian(self) -> bool:
        """Whether `byteorder` says so; files without it are little-endian."""
        return is_big_endian(self.records)

    @property
    def alignment(self) -> int:
        entry = self.records.get(".storage_alignment")
        digits = read_all(entry.payload).strip() if entry is not None and entry.size <= SHORT else b""
        alignment = max(int(digits), 1) if digits.isdigit() else ALIGNMENT
        if alignment > MOST_ALIGNMENT:
            raise UnsupportedError(f"the records are aligned to {alignment} bytes, expected at most {MOST_ALIGNMENT}")
        return alignment

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
                stored = Checked(entry.stored, entry.name, entry.crc) if entry.method == STORED else entry.stored
                yield Record(entry.name, stored, entry.method, entry.size, crc=entry.crc)
        yield from pending


def fresh_records(pickle: bytes, storages: list[Payload], prefix: str = "archive/") -> list[Record]:
    """The records of a new archive, in the order in which torch 2.7 and later write them; torch 1.6 reads them too."""
    head = ((PICKLE, pickle), (".format_version", b"1"), (".storage_alignment", b"64"), ("byteorder", b"little"))
    return [
        *(Record(prefix + name, Literal(data)) for name, data in head),
        *(Record(f"{prefix}{STORAGES}{index}", payload) for index, payload in enumerate(storages)),
        Record(f"{prefix}version", Literal(b"3\n")),
    ]


def records(archive: Archive, prefix: str) -> dict[str, Entry]:
    """The entries by record name, in lower case, the first where a name stands twice."""
    return {entry.name[len(prefix) :].lower(): entry for entry in reversed(archive.entries) if entry.name.startswith(prefix)}


def finder(places: tuple[str, ...], found: dict[str, Entry]) -> Callable[[str], Checked]:
    """`Part.stored` of a zip: the bytes of the first record that is there of those at `places`, patterns of the key."""

    def find(key: str) -> Checked:
        names = [place.format(key) for place in places]
        entry = next((found[name.lower()] for name in names if name.lower() in found), None)
        if entry is None:
            raise FormatError(f"record {names[0]} is missing, but the pickle refers to it")
        return checked(entry)

    return find


def checked(entry: Entry) -> Checked:
    """The bytes of a record, whose CRC is noted while they pass."""
    return Checked(entry.payload, entry.name, entry.crc)


def is_big_endian(found: dict[str, Entry]) -> bool:
    """What the record `byteorder` says; files without it are little-endian."""
    entry = found.get("byteorder")
    return entry is not None and entry.size <= SHORT and read_all(entry.payload).strip() == b"big"


def entry_members(archive: Archive) -> tuple[Member, ...]:
    """The entries of a zip, in the order of the bytes."""
    entries = sorted(archive.entries, key=lambda entry: entry.header_offset)
    return tuple(Member(entry.name, entry.header_offset, entry.size) for entry in entries)
