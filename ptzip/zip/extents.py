"""Where the parts of a zip lie: its entries, its directory and its end records, and the bytes that belong to none of them."""

from collections.abc import Iterator

from ptzip.errors import FormatError
from ptzip.io.sources import CHUNK, Source
from ptzip.zip import structs
from ptzip.zip.reader import Archive, Entry

Extent = tuple[int, int, str]
"""The first byte, the byte after the last, and the name of a part."""


def extents(archive: Archive) -> list[Extent]:
    """All parts of a zip in the order of the file, each entry with its data descriptor. Entries without header are left out."""
    found: list[Extent] = [
        (archive.start, archive.start + archive.length, "the central directory"),
        (archive.end_offset, archive.end_offset + structs.END_SIZE + len(archive.end.comment), "the end record"),
    ]
    if archive.end64 is not None:
        record_size = structs.END64_SIZE + max(archive.end64.record_size - 44, 0)
        at = archive.end_offset - structs.LOCATOR64_SIZE
        found.append((at - min(record_size, at), archive.end_offset, "the zip64 end record"))
    for entry in archive.entries:
        try:
            stop = entry.data_offset + entry.compressed_size + descriptor_size(entry)
        except FormatError:
            continue
        found.append((entry.header_offset, stop, entry.name))
    return sorted(found)


def gaps(parts: list[Extent]) -> Iterator[tuple[int, int]]:
    """The stretches between parts, and before the first."""
    at = 0
    for start, stop, _ in parts:
        if start > at:
            yield at, start
        at = max(at, stop)


def first_nonzero(source: Source, start: int, stop: int) -> int | None:
    """The offset of the first byte of a stretch that is not zero; None where all are, or the file ends."""
    stop = min(stop, source.size)
    for at in range(start, stop, CHUNK):
        data = source.read(at, min(CHUNK, stop - at))
        rest = data.lstrip(b"\0")
        if rest:
            return at + len(data) - len(rest)
    return None


def descriptor_size(entry: Entry) -> int:
    """The length of a data descriptor, whose sizes may have 64 bits (APPNOTE 4.3.9.2); 0 where none is announced or there."""
    is_announced = (entry.central.flags | entry.local_flags) & structs.HAS_DESCRIPTOR
    if not is_announced or not entry.after.startswith(structs.DESCRIPTOR_SIGNATURE):
        return 0
    return structs.DESCRIPTOR64_SIZE if entry.has_wide_descriptor else structs.DESCRIPTOR_SIZE  # whatever the CRC
