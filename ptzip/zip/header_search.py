"""Every header of a damaged zip, found by its signature, whether or not another header leads to it.

The contents of a header are kept and not trusted here; memory is bounded by the number of headers.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, LimitError
from ptzip.io.sources import CHUNK, Source
from ptzip.zip import structs

SIGNATURES = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x07\x08)")
OVERLAP = 3
MOST = 1 << 20
"""Signatures that a file may have: three for each record, and one in 4 GB of random bytes."""


MOST_NAMED = 1 << 10
"""Bytes of a name that are kept of it, and of the parts of a directory entry. Longer ones are damage; headers may overlap, and
all of them would take a multiple of the file.
"""


class FoundLocal(NamedTuple):
    """A local header: `data` is the offset of the bytes after it; `length` stored bytes have, inflated, `size` bytes.

    Both are None where the header leaves them to the descriptor or a zip64 field.
    """

    at: int
    name: str
    method: int
    data: int
    crc: int
    length: int | None
    size: int | None


class FoundCentral(NamedTuple):
    """An entry of a directory; `header` is where it says that the local header is."""

    at: int
    name: str
    method: int
    header: int
    crc: int
    length: int
    size: int
    heading: int
    """The bytes in front of the data, if the local header's extra field is as long as this one's."""


class FoundDescriptor(NamedTuple):
    """A data descriptor: `length` stored bytes from `start` up to it have, inflated, `size` bytes and this CRC."""

    at: int
    start: int
    crc: int
    length: int
    size: int


class Headers(NamedTuple):
    """All headers of a file in the order of the bytes."""

    locals: tuple[FoundLocal, ...]
    centrals: tuple[FoundCentral, ...]
    descriptors: tuple[FoundDescriptor, ...]
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


def _descriptors(source: Source, at: int) -> Iterator[FoundDescriptor]:
    """The descriptor at a signature, read with sizes of 32 bits and of 64, as far as they lead to an offset in the file."""
    for kind in (structs.Descriptor, structs.Descriptor64):
        with contextlib.suppress(FormatError):  # too close to the end of the file
            found = structs.read(kind, source, at)
            if found.compressed_size <= at:
                yield FoundDescriptor(at, at - found.compressed_size, found.crc, found.compressed_size, found.size)


def _outer(source: Source, heads: list[int], descriptors: tuple[FoundDescriptor, ...]) -> Iterator[FoundLocal]:
    """The local headers, without those in the data of a record whose end is known: those are of a zip within the zip."""
    ends = {found.start: found.at for found in descriptors}
    behind = 0
    for at in heads:
        local = local_at(source, at) if at >= behind else None
        if local is not None:
            yield local
            own_end = local.data + (local.length or 0)
            is_end = read_some(source, own_end, 2) == structs.LOCAL_SIGNATURE[:2]  # another header follows
            behind = max(behind, ends.get(local.data, 0), own_end if is_end else 0)


def local_at(source: Source, at: int) -> FoundLocal | None:
    """The local header at an offset, whatever its signature; None where it is cut off."""
    fixed = read_some(source, at, structs.LOCAL_SIZE)
    if fixed is None:
        return None
    header = structs.numbers(structs.LocalHeader, fixed)
    end = at + structs.LOCAL_SIZE + header["name_length"]
    name = read_some(source, at + structs.LOCAL_SIZE, min(header["name_length"], MOST_NAMED))
    if name is None or end > source.size:
        return None
    length, size = header["compressed_size"], header["size"]
    is_elsewhere = (header["flags"] & structs.HAS_DESCRIPTOR and not length) or structs.FULL32 in (length, size)
    data = end + header["extra_length"]
    known = (None, None) if is_elsewhere else (length, size)
    return FoundLocal(at, structs.decode_name(name), header["method"], data, header["crc"], *known)


def _central(source: Source, at: int) -> FoundCentral | None:
    data = source.read(at, min(structs.CENTRAL_SIZE + MOST_NAMED, source.size - at))
    try:
        entry = structs.parse(structs.CentralEntry, data)
    except FormatError:
        return None
    found = structs.true_sizes(entry)
    if found is None:
        return None
    size, length, header = found
    heading = structs.LOCAL_SIZE + len(entry.name) + len(entry.extra)
    return FoundCentral(at, structs.decode_name(entry.name), entry.method, header, entry.crc, length, size, heading)


def read_some(source: Source, at: int, length: int) -> bytes | None:
    """The bytes at an offset, or None where the source does not have them all."""
    return source.read(at, length) if at >= 0 and at + length <= source.size else None
