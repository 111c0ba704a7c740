"""Reading a zip: both headers of every entry, kept.

Rule: sizes and offsets come from the central directory alone, as torch's reader (miniz) takes them; from the local header
only the lengths of its name and extra field are used, to find where the data begin. torch writes zip64 fields in local
headers that do not follow the standard, so nobody may parse those by the book.
"""

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.io.payloads import Payload, SourcePayload
from ptzip.io.sources import CHUNK, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.zip import structs

STORED, DEFLATED = 0, 8
ENCRYPTED = 0x0001
HAS_DESCRIPTOR = 0x0008
ZIP64_FIELD = 0x0001
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF


class Entry:
    """One entry: what the central directory says of it, and its local header and descriptor when asked for."""

    def __init__(
        self, source: Source, central: structs.CentralEntry, compressed_size: int, size: int, header_offset: int
    ) -> None:
        self.source = source
        self.central = central
        self.compressed_size = compressed_size
        self.size = size
        self.header_offset = header_offset

    @functools.cached_property
    def name(self) -> str:
        return decoded(self.central.name)

    @property
    def crc(self) -> int:
        return self.central.crc

    @property
    def method(self) -> int:
        return self.central.method

    @functools.cached_property
    def local(self) -> structs.LocalHeader:
        """The local header; raises FormatError where there is none."""
        whole = self.source.read(self.header_offset, self.data_offset - self.header_offset)
        return structs.parse(structs.LocalHeader, io.BytesIO(whole), self.header_offset)

    @functools.cached_property
    def data_offset(self) -> int:
        """Where the data begin; raises FormatError where there is no local header."""
        fixed = self.source.read(self.header_offset, structs.LOCAL_SIZE)
        if not fixed.startswith(structs.LOCAL_SIGNATURE):
            raise FormatError(f"{self.name} has no local header where the central directory says", self.header_offset)
        name_length, extra_length = struct.unpack_from("<HH", fixed, structs.LOCAL_SIZE - 4)
        return self.header_offset + structs.LOCAL_SIZE + int(name_length) + int(extra_length)

    @functools.cached_property
    def descriptor(self) -> structs.Descriptor | structs.Descriptor64 | None:
        """The data descriptor behind the data, where the local header promises one."""
        if not self.local.flags & HAS_DESCRIPTOR:
            return None
        offset = self.data_offset + self.compressed_size
        wide = self.size >= FULL32 or self.header_offset >= FULL32
        if wide:
            data = self.source.read(offset, structs.DESCRIPTOR64_SIZE)
            return structs.parse(structs.Descriptor64, io.BytesIO(data), offset)
        data = self.source.read(offset, structs.DESCRIPTOR_SIZE)
        return structs.parse(structs.Descriptor, io.BytesIO(data), offset)

    @property
    def stored(self) -> SourcePayload:
        """The bytes as they lie in the file, compressed or not."""
        if self.data_offset + self.compressed_size > self.source.size:
            raise FormatError(f"{self.name} reaches past the end of the file", self.data_offset)
        return SourcePayload(self.source, self.data_offset, self.compressed_size)

    @property
    def payload(self) -> Payload:
        """The bytes of the record, inflated where they are deflated."""
        if self.central.flags & ENCRYPTED:
            raise UnsupportedError(f"{self.name} is encrypted")
        if self.method == DEFLATED:
            return InflatedPayload(self.stored, self.size, self.name)
        if self.method != STORED:
            raise UnsupportedError(f"{self.name} is compressed by method {self.method}, expected 0 or 8")
        if self.size != self.compressed_size:
            raise FormatError(f"{self.name} is stored, but its sizes are {self.compressed_size} and {self.size}")
        return self.stored


class InflatedPayload(NamedTuple):
    """The bytes of a deflated entry (raw deflate, APPNOTE 4.4.5), never more than the directory promises."""

    stored: Payload
    length: int
    name: str

    @property
    def seekable(self) -> bool:
        return False

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        at = 0
        for chunk in self._inflate():
            if at + len(chunk) > self.length:
                raise FormatError(f"{self.name} inflates to more than its {self.length} bytes")
            part = chunk[max(0, start - at) : max(0, stop - at)]
            at += len(chunk)
            if part:
                yield part
        if at != self.length:
            raise FormatError(f"{self.name} inflates to {at} bytes, expected {self.length}")

    def _inflate(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for chunk in self.stored.chunks(0, self.stored.length):
                pending = chunk
                while pending:
                    if inflater.eof:
                        raise FormatError(f"bytes follow the deflate stream of {self.name}")
                    yield inflater.decompress(pending, CHUNK)
                    pending = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error as error:
            raise FormatError(f"{self.name} is no deflate stream: {error}") from error


class Archive(NamedTuple):
    """A zip, read: its entries in the order of the central directory."""

    source: Source
    entries: tuple[Entry, ...]
    end: structs.End
    end_offset: int
    end64: structs.End64 | None


def decoded(name: bytes) -> str:
    """An entry's name as text that `encode_name` turns into the same bytes again."""
    return name.decode("utf-8", "surrogateescape")


def read_archive(source: Source, limits: Limits = DEFAULT_LIMITS, end_offset: int | None = None, zip64: bool = True) -> Archive:
    """The archive that a source holds. Raises FormatError where it holds none, or not a whole one.

    Another end than the one that counts may be given, and its zip64 record left aside, as some readers do.
    """
    end, end_offset = _find_end(source) if end_offset is None else (_end_at(source, end_offset), end_offset)
    end64 = _find_end64(source, end_offset) if zip64 else None
    facts = end64 or end
    start, size, count = facts.directory_offset, facts.directory_size, facts.entries
    if start + size > end_offset:
        raise FormatError(f"the central directory ({size} bytes from {start}) reaches past its end record", end_offset)
    if size > limits.directory_bytes:
        raise LimitError(f"the central directory takes {size} bytes, more than {limits.directory_bytes}")
    if count * structs.CENTRAL_SIZE > size:
        raise FormatError(f"the central directory is too small ({size} bytes) for its {count} entries", start)
    return Archive(source, tuple(_entries(source, start, size, count)), end, end_offset, end64)


def is_zip(source: Source) -> bool:
    """Whether an end of central directory is there; a zip that was cut off has none."""
    return _end_offset(source) is not None


def _end_offset(source: Source) -> int | None:
    """Where the last end record is; a comment of at most 65,535 bytes may follow it (APPNOTE 4.3.16).

    The bytes in front of it, which may be those of a storage, are searched only where it is not the last thing in the file.
    """
    last = source.size - structs.END_SIZE
    if last >= 0 and source.read(last, len(structs.END_SIGNATURE)) == structs.END_SIGNATURE:
        return last
    tail = min(source.size, structs.END_SIZE + FULL16)
    data = source.read(source.size - tail, tail)
    at = data.rfind(structs.END_SIGNATURE, 0, max(0, tail - structs.END_SIZE + len(structs.END_SIGNATURE)))
    return None if at < 0 else source.size - tail + at


def ends(source: Source) -> list[int]:
    """Where ends of central directory may be, the one that counts first; `MOST_ENDS` of them at most."""
    tail = min(source.size, structs.END_SIZE + FULL16)
    data, found = source.read(source.size - tail, tail), list[int]()
    at = data.rfind(structs.END_SIGNATURE)
    while at >= 0 and len(found) < MOST_ENDS:
        found.append(source.size - tail + at)
        at = data.rfind(structs.END_SIGNATURE, 0, at + len(structs.END_SIGNATURE) - 1)
    first = _end_offset(source)
    return sorted(found, key=lambda offset: offset != first)


MOST_ENDS = 16


def archive_offset(source: Source) -> int:
    """Where the archive begins that ends the file: 0, or behind whatever stands before it."""
    end, directory_end = _find_end(source)
    facts: structs.End | structs.End64 = end
    at = directory_end - structs.LOCATOR64_SIZE - structs.END64_SIZE
    record = source.read(at, structs.END64_SIZE) if at >= 0 else b""
    if record.startswith(structs.END64_SIGNATURE):
        facts, directory_end = structs.parse(structs.End64, io.BytesIO(record), at), at
    start = directory_end - facts.directory_size - facts.directory_offset
    is_start = start > 0 and source.read(start, len(structs.LOCAL_SIGNATURE)) == structs.LOCAL_SIGNATURE
    return start if is_start else 0


def _find_end(source: Source) -> tuple[structs.End, int]:
    offset = _end_offset(source)
    if offset is None:
        raise FormatError("there is no end of central directory, so this is no whole zip")
    return _end_at(source, offset), offset


def _end_at(source: Source, offset: int) -> structs.End:
    return structs.parse(structs.End, io.BytesIO(source.read(offset, source.size - offset)), offset)


def _find_end64(source: Source, end_offset: int) -> structs.End64 | None:
    at = end_offset - structs.LOCATOR64_SIZE
    if at < 0:
        return None
    data = source.read(at, structs.LOCATOR64_SIZE)
    if not data.startswith(structs.LOCATOR64_SIGNATURE):
        return None
    locator = structs.parse(structs.Locator64, io.BytesIO(data), at)
    if locator.offset + structs.END64_SIZE > at:
        raise FormatError(f"the zip64 locator points to byte {locator.offset}, past itself", at)
    record = source.read(locator.offset, structs.END64_SIZE)
    return structs.parse(structs.End64, io.BytesIO(record), locator.offset)


def _entries(source: Source, start: int, size: int, count: int) -> Iterator[Entry]:
    stream = io.BytesIO(source.read(start, size))
    for _ in range(count):
        at = start + stream.tell()
        central = structs.parse(structs.CentralEntry, stream, at)
        full, compressed, offset = _wide_values(central, at)
        if offset + structs.LOCAL_SIZE > start:
            raise FormatError(f"{decoded(central.name)} is said to begin at byte {offset}, past the entries", at)
        yield Entry(source, central, compressed, full, offset)


def _wide_values(central: structs.CentralEntry, at: int) -> tuple[int, int, int]:
    """Size, compressed size and offset, each from the zip64 field where it is full (APPNOTE 4.5.3)."""
    values = [central.size, central.compressed_size, central.offset]
    full = [index for index, value in enumerate(values) if value == FULL32]
    if not full:
        return values[0], values[1], values[2]
    field = extra_fields(central.extra).get(ZIP64_FIELD, b"")
    if len(field) < 8 * len(full):
        raise FormatError(f"{decoded(central.name)} lacks its zip64 field", at)
    for place, index in enumerate(full):
        (values[index],) = struct.unpack_from("<Q", field, 8 * place)
    return values[0], values[1], values[2]


def extra_fields(extra: bytes) -> dict[int, bytes]:
    """The extra fields by id, as far as they can be told apart (APPNOTE 4.5.1)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<HH", extra, at)
        found.setdefault(ident, extra[at + 4 : at + 4 + length])
        at += 4 + length
    return found
