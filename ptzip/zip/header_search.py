"""Every header of a zip, wherever it stands: found by its signature, whether or not another one leads to it.

Rule: what a header says is kept as it is said, and nothing of it is believed here; memory is bounded by the number of headers.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, LimitError
from ptzip.io.sources import CHUNK, Source
from ptzip.zip import structs
from ptzip.zip.reader import FULL32, HAS_DESCRIPTOR, ZIP64_FIELD, decoded, extra_fields

SIGNATURES = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x07\x08)")
OVERLAP = 3
MOST = 1 << 20
"""How many signatures a file may have: three for each record, and one in 4 GB of random bytes."""


class Local(NamedTuple):
    """A local header: `data` is where the bytes behind it begin, `length` and `size` those it gives, None where none."""

    at: int
    name: str
    method: int
    data: int
    crc: int
    length: int | None
    size: int | None


class Central(NamedTuple):
    """An entry of a directory; `header` is where it says that the local header is."""

    at: int
    name: str
    method: int
    header: int
    crc: int
    length: int
    size: int
    heading: int
    """The bytes in front of the data, were the local header's extra field as long as this one's."""


class Descriptor(NamedTuple):
    """A data descriptor: `length` stored bytes from `start` to itself have, when inflated, `size` bytes and this CRC."""

    at: int
    start: int
    crc: int
    length: int
    size: int


class Headers(NamedTuple):
    """All headers of a file in the order of the bytes."""

    locals: tuple[Local, ...]
    centrals: tuple[Central, ...]
    descriptors: tuple[Descriptor, ...]
    is_shard: bool
    """Whether a further zip begins where one ends."""


def read_headers(source: Source) -> Headers:
    """Look through a whole file. Raises LimitError where it is full of signatures."""
    marks: dict[bytes, list[int]] = {}
    for number, (at, signature) in enumerate(_marks(source)):
        if number >= MOST:
            raise LimitError(f"there are more than {MOST} signatures of headers in this file")
        marks.setdefault(signature, []).append(at)
    descriptors = tuple(found for at in marks.get(structs.DESCRIPTOR_SIGNATURE, ()) for found in _descriptors(source, at))
    ends = (at + structs.END_SIZE for at in marks.get(structs.END_SIGNATURE, ()))
    heads = marks.get(structs.LOCAL_SIGNATURE, [])
    return Headers(
        tuple(_outer(source, heads, descriptors)),
        tuple(found for at in marks.get(structs.CENTRAL_SIGNATURE, ()) if (found := _central(source, at))),
        descriptors,
        not set(heads).isdisjoint(ends),
    )


def _marks(source: Source) -> Iterator[tuple[int, bytes]]:
    for start in range(0, source.size, CHUNK):
        data = source.read(start, min(CHUNK + OVERLAP, source.size - start))
        for found in SIGNATURES.finditer(data):
            yield start + found.start(), found.group()


def _descriptors(source: Source, at: int) -> Iterator[Descriptor]:
    """The descriptor at a signature, read with sizes of 32 bits and of 64, as far as they lead to a place in the file."""
    for layout in ("<3I", "<I2Q"):
        data = read_some(source, at + 4, struct.calcsize(layout))
        if data is not None:
            crc, length, size = struct.unpack(layout, data)
            if length <= at:
                yield Descriptor(at, at - length, crc, length, size)


def _outer(source: Source, heads: list[int], descriptors: tuple[Descriptor, ...]) -> Iterator[Local]:
    """The local headers, without those in the data of a record whose end is known: those are of a zip within the zip."""
    ends = {found.start: found.at for found in descriptors}
    behind = 0
    for at in heads:
        local = local_at(source, at) if at >= behind else None
        if local is not None:
            yield local
            behind = max(behind, ends.get(local.data, 0), _told_end(source, local))


def _told_end(source: Source, local: Local) -> int:
    """Where the data end that a header measures itself, if another header is there."""
    end = local.data + (local.length or 0)
    return end if read_some(source, end, 2) == structs.LOCAL_SIGNATURE[:2] else 0


def local_at(source: Source, at: int) -> Local | None:
    """The local header at a place, whatever its signature; None where there is not all of it."""
    fixed = read_some(source, at, structs.LOCAL_SIZE)
    if fixed is None:
        return None
    _, flags, method, _, _, crc, length, size, name_length, extra_length = struct.unpack_from("<5H3I2H", fixed, 4)
    name = read_some(source, at + structs.LOCAL_SIZE, name_length)
    if name is None:
        return None
    later = bool(flags & HAS_DESCRIPTOR) and not length
    told = None if later or FULL32 in (length, size) else (length, size)
    data = at + structs.LOCAL_SIZE + name_length + extra_length
    return Local(at, decoded(name), method, data, crc, *(told or (None, None)))


def _central(source: Source, at: int) -> Central | None:
    room = min(structs.CENTRAL_SIZE + 3 * 0xFFFF, source.size - at)
    try:
        entry = structs.parse(structs.CentralEntry, io.BytesIO(source.read(at, room)), at)
    except FormatError:
        return None
    values = _wide(entry)
    if values is None:
        return None
    size, length, header = values
    heading = structs.LOCAL_SIZE + len(entry.name) + len(entry.extra)
    return Central(at, decoded(entry.name), entry.method, header, entry.crc, length, size, heading)


def _wide(entry: structs.CentralEntry) -> tuple[int, int, int] | None:
    """Size, stored length and offset, from the zip64 field where they are full (APPNOTE 4.5.3)."""
    values = [entry.size, entry.compressed_size, entry.offset]
    field = io.BytesIO(extra_fields(entry.extra).get(ZIP64_FIELD, b""))
    for place, value in enumerate(values):
        if value == FULL32:
            data = field.read(8)
            if len(data) < 8:
                return None
            values[place] = int.from_bytes(data, "little")
    return values[0], values[1], values[2]


def read_some(source: Source, at: int, length: int) -> bytes | None:
    """Some bytes, or None where the file does not have them all."""
    return source.read(at, length) if at >= 0 and at + length <= source.size else None
