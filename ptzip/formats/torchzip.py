"""The zip that torch.save writes since 1.6: `<archive>/data.pkl` and `<archive>/data/<key>`, and what else stands beside.

Rule: records are looked up as torch looks them up; see `records`.
"""

import functools
from collections.abc import Iterator

from ptzip.errors import UnsupportedError
from ptzip.formats.container import Member, Part, read_record
from ptzip.formats.torchzip_records import PICKLE, SHORT, STORAGES, checked, finder, is_big_endian, records
from ptzip.io.payloads import BytesPayload, CheckedPayload, Payload, read_all
from ptzip.limits import Limits
from ptzip.zip.reader import Archive, Entry
from ptzip.zip.structs import STORED
from ptzip.zip.writer import ALIGNMENT, Record

SERIALIZATION_ID = ".data/serialization_id"

MOST_ALIGNMENT = 1 << 15
"""The padding and its field have to fit an extra field, which is shorter than 64 KiB."""


class TorchZip:
    """One such zip, opened: nothing but the directory and the pickle has been read."""

    def __init__(self, archive: Archive, prefix: str, limits: Limits) -> None:
        self.archive = archive
        self.prefix = prefix
        self.limits = limits

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
                yield Record(entry.name, BytesPayload(pickle))
            elif name.startswith(STORAGES) and name != STORAGES:
                yield from pending
                pending = []
            elif name != SERIALIZATION_ID and not name.endswith("/"):
                stored = CheckedPayload(entry.stored, entry.name, entry.crc) if entry.method == STORED else entry.stored
                yield Record(entry.name, stored, entry.method, entry.size, crc=entry.crc)
        yield from pending


def fresh_records(pickle: bytes, storages: list[Payload], prefix: str = "archive/") -> list[Record]:
    """The records of a new archive, in the order in which torch 2.7 and later write them; torch 1.6 reads them too."""
    head = ((PICKLE, pickle), (".format_version", b"1"), (".storage_alignment", b"64"), ("byteorder", b"little"))
    return [
        *(Record(prefix + name, BytesPayload(data)) for name, data in head),
        *(Record(f"{prefix}{STORAGES}{index}", payload) for index, payload in enumerate(storages)),
        Record(f"{prefix}version", BytesPayload(b"3\n")),
    ]


def entry_members(archive: Archive) -> tuple[Member, ...]:
    """The entries of a zip, in the order of the bytes."""
    entries = sorted(archive.entries, key=lambda entry: entry.header_offset)
    return tuple(Member(entry.name, entry.header_offset, entry.size) for entry in entries)
