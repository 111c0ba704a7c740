"""The records of a file, one row each: where it lies, how it is stored, and where its two headers differ.

Rule: the central directory is what counts, as for torch; a local header is looked at only to be compared with it.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.container.archive import FULL32, HAS_DESCRIPTOR, Archive, Entry, decoded
from ptzip.container.structs import DESCRIPTOR_SIGNATURE, LOCAL_SIGNATURE, LOCAL_SIZE, Descriptor, Descriptor64
from ptzip.errors import FormatError
from ptzip.formats.part import Layout, Member
from ptzip.formats.torchzip import TorchZip
from ptzip.formats.zips import ForeignZip, Shard

HEAD, BEHIND = struct.Struct("<4s5H3I"), struct.Struct("<4s3I")
"""A local header up to its sizes, and a data descriptor, to be compared whole."""

METHODS = {0: "stored", 8: "deflated"}
MOST_ALIGNED = 4096
"""Larger powers of two are chance."""

COMPARED = ("needed", "flags", "method", "time", "date", "crc", "compressed_size", "size", "name")
IN_DESCRIPTOR = ("crc", "compressed_size", "size")
"""What the local header leaves 0 where it stands behind the data (APPNOTE 4.4.4)."""


class Difference(NamedTuple):
    """A field that the central directory and the local header (or the descriptor behind the data) do not agree on."""

    field: str
    central: str
    local: str


class Row(NamedTuple):
    """One record; `offset` is that of its data, `header` that of its local header, and sizes are in bytes.

    Where the file is no zip, `method` and `crc` are None and `note` says what the stretch is.
    """

    name: str
    offset: int
    size: int
    header: int | None = None
    stored: int | None = None
    method: str | None = None
    crc: int | None = None
    differences: tuple[Difference, ...] = ()
    note: str = ""

    @property
    def alignment(self) -> int:
        """The largest power of two that divides the offset, at most `MOST_ALIGNED`."""
        return min(self.offset & -self.offset, MOST_ALIGNED) if self.offset else MOST_ALIGNED


def records(checkpoint: Checkpoint) -> Iterator[Row]:
    """Everything in the file, in the order of the bytes."""
    return _rows(checkpoint.layout, 0)


def _rows(layout: Layout, start: int) -> Iterator[Row]:
    if isinstance(layout, Shard):
        for below, at in zip(layout.zips, layout.starts, strict=True):
            yield from _rows(below, start + at)
    elif isinstance(layout, TorchZip | ForeignZip):
        yield from _entries(layout.archive, start)
    else:
        yield from map(_stretch, layout.members)


def _stretch(member: Member) -> Row:
    return Row(member.name, member.offset, member.size, note=member.note)


def _entries(archive: Archive, start: int) -> Iterator[Row]:
    for entry in sorted(archive.entries, key=lambda entry: entry.header_offset):
        try:
            offset, differences, note = entry.data_offset, tuple(_differences(entry)), ""
        except FormatError as error:
            offset, differences, note = entry.header_offset, (), str(error)
        method = METHODS.get(entry.method, f"method {entry.method}")
        header = start + entry.header_offset
        yield Row(entry.name, start + offset, entry.size, header, entry.compressed_size, method, entry.crc, differences, note)


def _differences(entry: Entry) -> Iterator[Difference]:
    if _is_as_torch_writes(entry):
        return
    central, local = entry.central._asdict(), entry.local._asdict()
    follows = bool(entry.local.flags & HAS_DESCRIPTOR)
    for field in COMPARED:
        is_later = follows and field in IN_DESCRIPTOR and local[field] == 0
        is_wide = field in ("compressed_size", "size") and FULL32 in (central[field], local[field])
        if central[field] != local[field] and not is_later and not is_wide:
            yield Difference(field, _spelled(central[field]), _spelled(local[field]))
    if follows:
        yield from _beyond(entry, entry.descriptor)


def _is_as_torch_writes(entry: Entry) -> bool:
    """Whether the local header is byte for byte that of a record with a descriptor, as most are: then nothing differs."""
    central = entry.central
    if not central.flags & HAS_DESCRIPTOR or entry.size >= FULL32 or entry.header_offset >= FULL32:
        return False
    head = entry.source.read(entry.header_offset, LOCAL_SIZE + len(central.name))
    expected = HEAD.pack(LOCAL_SIGNATURE, central.needed, central.flags, central.method, central.time, central.date, 0, 0, 0)
    if not head.startswith(expected) or head[LOCAL_SIZE:] != central.name:
        return False
    behind = entry.source.read(entry.data_offset + entry.compressed_size, BEHIND.size)
    return behind == BEHIND.pack(DESCRIPTOR_SIGNATURE, entry.crc, entry.compressed_size, entry.size)


def _beyond(entry: Entry, descriptor: Descriptor | Descriptor64 | None) -> Iterator[Difference]:
    if descriptor is None:
        return
    expected = (entry.crc, entry.compressed_size, entry.size)
    for field, central, behind in zip(IN_DESCRIPTOR, expected, descriptor, strict=True):
        if central != behind:
            yield Difference(f"{field} (descriptor)", str(central), str(behind))


def _spelled(value: object) -> str:
    return decoded(value) if isinstance(value, bytes) else str(value)
