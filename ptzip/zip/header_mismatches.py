"""Where the two headers of an entry, and the descriptor behind its data, do not agree.

Rule: the central directory is what counts, as for torch; a local header is looked at only to be compared with it.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.zip.reader import FULL32, HAS_DESCRIPTOR, Entry, decoded
from ptzip.zip.structs import DESCRIPTOR_SIGNATURE, LOCAL_SIGNATURE, LOCAL_SIZE, Descriptor, Descriptor64

HEAD, BEHIND = struct.Struct("<4s5H3I"), struct.Struct("<4s3I")
"""A local header up to its sizes, and a data descriptor, to be compared whole."""

COMPARED = ("needed", "flags", "method", "time", "date", "crc", "compressed_size", "size", "name")
IN_DESCRIPTOR = ("crc", "compressed_size", "size")
"""What the local header leaves 0 where it stands behind the data (APPNOTE 4.4.4)."""


class Difference(NamedTuple):
    """A field that the central directory and the local header (or the descriptor behind the data) do not agree on."""

    field: str
    central: str
    local: str


def differences(entry: Entry) -> Iterator[Difference]:
    """The fields that differ. Raises FormatError where there is no local header."""
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
