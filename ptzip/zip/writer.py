"""Writing a zip as torch writes it: a plan of the layout from sizes alone, then one pass over the bytes.

The file is what `PyTorchStreamWriter` (torch/csrc `caffe2/serialize/inline_container.cc`, on miniz) would have written for the
same records, to the byte: payloads aligned by an `FB` extra field, flags 0x0808 and data descriptors (none for an empty
record), zip64 fields where it writes them, and always a zip64 end. torch can compute the offset of a storage from that layout
alone, and reads wrong bytes where a file differs.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.buffers import Buffers
from ptzip.io.crc32 import Pieces, crc32
from ptzip.io.payloads import CountBytes, Payload, stripes
from ptzip.io.system import write_at
from ptzip.zip import structs
from ptzip.zip.structs import FULL16, FULL32

ALIGNMENT = 64
"""Every payload begins at a multiple of this (torch's default; `.storage_alignment` records another)."""

NEEDED_DEFLATED = 20
MADE_BY, NEEDED64, END64_SIZE = 798, 45, structs.END64_SIZE - 12
"""Fields of the zip64 end record, as miniz writes them."""


class Record(NamedTuple):
    """An entry to be written: its name, and the payload as it will be in the file.

    `size` is the inflated size where `method` is deflated. `crc` is written instead of the payload's own, which a deflated
    record needs to be copied unchanged.
    """

    name: str
    payload: Payload
    method: int = structs.STORED
    size: int | None = None
    crc: int | None = None

    @property
    def full_size(self) -> int:
        return self.payload.length if self.size is None else self.size

    @property
    def needed(self) -> int:
        """The version that a reader needs, as miniz gives it (APPNOTE 4.4.3)."""
        return NEEDED_DEFLATED if self.method == structs.DEFLATED else 0

    @property
    def flags(self) -> int:
        return structs.UTF8_NAMES | (structs.HAS_DESCRIPTOR if self.payload.length else 0)

    @property
    def is_large(self) -> bool:
        return max(self.full_size, self.payload.length) >= FULL32


class Placed(NamedTuple):
    """A record at its offset: `head` is its local header, which begins there."""

    record: Record
    offset: int
    head: bytes

    @property
    def data_offset(self) -> int:
        return self.offset + len(self.head)

    @property
    def has_descriptor64(self) -> bool:
        return max(self.record.full_size, self.record.payload.length, self.offset) >= FULL32

    @property
    def central_size(self) -> int:
        """The length of its entry in the central directory."""
        extra = _zip64_field(self.record, self.offset, compressed_size=self.record.payload.length)
        return structs.CENTRAL_SIZE + len(structs.encode_name(self.record.name)) + len(extra)

    @property
    def end(self) -> int:
        size = self.record.payload.length
        descriptor = structs.DESCRIPTOR64_SIZE if self.has_descriptor64 else structs.DESCRIPTOR_SIZE
        return self.data_offset + size + (descriptor if size else 0)


class ZipLayout(NamedTuple):
    """A planned zip: every record at its offset, and the `size` of the file in bytes."""

    placed: tuple[Placed, ...]
    size: int

    @property
    def payloads(self) -> list[Payload]:
        return [item.record.payload for item in self.placed]

    def write(self, descriptor: int, count_bytes: CountBytes | None = None) -> None:
        """Write everything to an open file; all workers copy payloads, in chunks."""
        from ptzip.io.workers import share  # what only reads does without

        pieces = [Pieces() for _ in self.placed]

        def work(job: tuple[int, int, int], buffers: Buffers) -> None:
            index, start, stop = job
            _write_stripe(self.placed[index], start, stop, pieces[index], descriptor, buffers)
            if count_bytes:
                count_bytes(stop - start)

        share(work, ((index, *part) for index, item in enumerate(self.placed) for part in stripes(item.record.payload)))
        _finish(self, pieces, descriptor)


LONGEST = 1 << 63
"""Bytes that a file can have."""


def plan(records: Sequence[Record], alignment: int = ALIGNMENT) -> ZipLayout:
    """The layout of `records` in this order."""
    placed, at = [], 0
    for record in records:
        if at + record.payload.length >= LONGEST:
            raise FormatError(
                f"record {record.name} would end {at + record.payload.length:,} bytes into a zip, which none can be"
            )
        placed.append(Placed(record, at, _local_head(record, at, alignment)))
        at = placed[-1].end
    directory = sum(item.central_size for item in placed)
    ends = structs.END64_SIZE + structs.LOCATOR64_SIZE + structs.END_SIZE
    return ZipLayout(tuple(placed), at + directory + ends)


def _write_stripe(item: Placed, start: int, stop: int, pieces: Pieces, descriptor: int, buffers: Buffers) -> None:
    """Write one part of a payload; the local header goes with the first bytes, the descriptor with the last of an only part."""
    head, is_only = (b"" if start else item.head), stop - start == item.record.payload.length
    at, crc = start, 0
    for chunk in item.record.payload.chunks(start, stop, buffers):
        crc = crc32(chunk, crc)
        tail = _tail(item, crc) if is_only and at + len(chunk) == stop else b""
        write_at(descriptor, b"".join((head, chunk, tail)) if head or tail else chunk, item.data_offset + at - len(head))
        at, head = at + len(chunk), b""
    if head:  # of an empty payload
        write_at(descriptor, head, item.offset)
    _check_length(item, at, stop)
    pieces.add(start, stop, crc)


def _check_length(item: Placed, got: int, expected: int) -> None:
    if got != expected:
        raise FormatError(f"record {item.record.name} gave {got} bytes, expected {expected}")


def _finish(layout: ZipLayout, pieces: list[Pieces], descriptor: int) -> None:
    """Descriptors of the records that were written in several parts, the central directory and its ends."""
    directory = []
    at = layout.placed[-1].end if layout.placed else 0
    for item, done in zip(layout.placed, pieces, strict=True):
        crc = done.crc(item.record.payload.length) or 0
        if len(done) > 1:
            tail = _tail(item, crc)
            write_at(descriptor, tail, item.end - len(tail))
        directory.append(structs.build(_central(item, _crc_field(item, crc))))
    write_at(descriptor, b"".join(directory) + _ends(len(directory), sum(map(len, directory)), at), at)


def _crc_field(item: Placed, crc: int) -> int:
    return crc if item.record.crc is None else item.record.crc


def _tail(item: Placed, crc: int) -> bytes:
    length = item.record.payload.length
    if not length:
        return b""
    kind = structs.Descriptor64 if item.has_descriptor64 else structs.Descriptor
    return structs.build(kind(_crc_field(item, crc), length, item.record.full_size))


def _local_head(record: Record, offset: int, alignment: int) -> bytes:
    """Local header, name, the zip64 field in torch's own form (its compressed size stays 0), and the padding."""
    name = structs.encode_name(record.name)
    extra = _zip64_field(record, offset, compressed_size=0)
    start = offset + structs.LOCAL_SIZE + len(name) + len(extra) + len(structs.extra_field(structs.PADDING_FIELD, b""))
    extra += structs.extra_field(structs.PADDING_FIELD, b"Z" * (-start % alignment))
    return structs.build(structs.LocalHeader(record.needed, record.flags, record.method, 0, 0, 0, 0, 0, name, extra))


def _central(item: Placed, crc: int) -> structs.CentralEntry:
    record, length = item.record, item.record.payload.length
    return structs.CentralEntry(
        made_by=0,
        needed=record.needed,
        flags=record.flags,
        method=record.method,
        time=0,
        date=0,
        crc=crc,
        compressed_size=FULL32 if record.is_large else length,
        size=FULL32 if record.is_large else record.full_size,
        disk=0,
        internal=0,
        external=0,
        offset=min(item.offset, FULL32),
        name=structs.encode_name(record.name),
        extra=_zip64_field(record, item.offset, compressed_size=length),
        comment=b"",
    )


def _zip64_field(record: Record, offset: int, compressed_size: int) -> bytes:
    values = [record.full_size, compressed_size] if record.is_large else []
    if offset >= FULL32:
        values.append(offset)
    return structs.extra_field(structs.ZIP64_FIELD, struct.pack(f"<{len(values)}Q", *values)) if values else b""


def _ends(count: int, size: int, offset: int) -> bytes:
    end64 = structs.End64(END64_SIZE, MADE_BY, NEEDED64, 0, 0, count, count, size, offset)
    end = structs.End(0, 0, min(count, FULL16), min(count, FULL16), min(size, FULL32), min(offset, FULL32), b"")
    return structs.build(end64) + structs.build(structs.Locator64(0, offset + size, 1)) + structs.build(end)
