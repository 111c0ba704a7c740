"""Compares the local header and the descriptor of an entry with the central directory, which torch relies on."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.zip import structs
from ptzip.zip.reader import Entry

COMPARED = ("needed", "flags", "method", "time", "date", "crc", "compressed_size", "size", "name")
IN_DESCRIPTOR = ("crc", "compressed_size", "size")
"""What the local header leaves 0 where a descriptor follows the data (APPNOTE 4.4.4)."""

MOST_SHOWN = 256
"""Bytes of a name that are in a message."""

EXTRA_LENGTH = structs.LOCAL_SIZE - 2
"""The offset of the length of the extra field in a local header, which differs: torch pads with an extra field there only."""


class Mismatch(NamedTuple):
    """A field in which the central directory and the local header (or the descriptor after the data) differ."""

    field: str
    central: str
    local: str


def mismatches(entry: Entry) -> Iterator[Mismatch]:
    """The fields that differ. Raises FormatError where there is no local header."""
    if not _is_usual(entry):
        yield from _different_headers(entry)
    if entry.descriptor is not None:
        expected = (entry.crc, entry.compressed_size, entry.size)
        for field, value, found in zip(IN_DESCRIPTOR, expected, entry.descriptor, strict=True):
            if value != found:
                yield Mismatch(f"{field} (descriptor)", str(value), str(found))


def _different_headers(entry: Entry) -> Iterator[Mismatch]:
    central, local = entry.central._asdict(), entry.local._asdict()
    has_descriptor = bool(entry.local_flags & structs.HAS_DESCRIPTOR)
    for field in COMPARED:
        is_in_descriptor = has_descriptor and field in IN_DESCRIPTOR and local[field] == 0
        is_in_zip64 = field in ("compressed_size", "size") and structs.FULL32 in (central[field], local[field])
        if central[field] != local[field] and not is_in_descriptor and not is_in_zip64:
            yield Mismatch(field, _text(central[field]), _text(local[field]))


def _is_usual(entry: Entry) -> bool:
    """Whether the local header is byte for byte what the directory says, as mostly: then nothing else is compared."""
    central = entry.central
    sizes = (0, 0, 0) if central.flags & structs.HAS_DESCRIPTOR else (central.crc, central.compressed_size, central.size)
    expected = structs.fixed_part(structs.LocalHeader, *central[1:6], *sizes, len(central.name), 0)
    head = entry.head
    return head[:EXTRA_LENGTH] == expected[:EXTRA_LENGTH] and head[structs.LOCAL_SIZE :] == central.name


def _text(value: object) -> str:
    """A value in a message. All entries may have the same header, so a long name is not repeated for each."""
    if not isinstance(value, bytes):
        return str(value)
    return structs.decode_name(value[:MOST_SHOWN]) + f"... ({len(value):,} bytes)" * (len(value) > MOST_SHOWN)
