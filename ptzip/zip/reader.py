"""Reading a zip: the central directory, and of every entry both headers.

Sizes and offsets come from the central directory alone, as in torch's reader (miniz). Of the local header only the lengths of
its name and extra field are used, to find the data: torch writes zip64 fields in local headers that break the standard.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError, beyond
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import CheckedPayload, InflatedPayload, Payload, SourcePayload
from ptzip.io.sources import Source, is_distant, place_of
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.zip import structs
from ptzip.zip.find_archives import find_end, read_end, read_end64

FLAGS_AT = 6
"""The offset of the flags in a local header."""


class Entry:
    """One entry: its central directory entry with sizes of any width; its local header and descriptor are read on access."""

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
        return structs.decode_name(self.central.name)

    @property
    def crc(self) -> int:
        return self.central.crc

    @property
    def method(self) -> int:
        return self.central.method

    @functools.cached_property
    def head(self) -> bytes:
        """The fixed part of the local header, and as many bytes as the name in the directory has; fewer where the file ends."""
        room = self.source.size - self.header_offset
        if self.header_offset < 0 or room <= 0:
            return b""
        return self.source.read(self.header_offset, min(structs.LOCAL_SIZE + len(self.central.name), room))

    @property
    def local(self) -> structs.LocalHeader:
        """The local header; raises FormatError where there is none."""
        data = self.source.read(self.header_offset, self.data_offset - self.header_offset)
        return structs.parse(structs.LocalHeader, data, 0, self.header_offset)

    @property
    def local_flags(self) -> int:
        """The flags in the local header, 0 where there is none."""
        return int.from_bytes(self.head[FLAGS_AT : FLAGS_AT + 2], "little")

    @functools.cached_property
    def data_offset(self) -> int:
        """The offset of the data; raises FormatError where there is no local header."""
        if not self.head.startswith(structs.LOCAL_SIGNATURE) or len(self.head) < structs.LOCAL_SIZE:
            message = f"{self.name} has no local header where the central directory says"
            raise FormatError(message, *place_of(self.source, self.header_offset))
        return self.header_offset + structs.LOCAL_SIZE + sum(structs.lengths(structs.LocalHeader, self.head))

    @functools.cached_property
    def descriptor(self) -> structs.Descriptor | None:
        """The data descriptor after the data, where the local header announces one."""
        if not self.local_flags & structs.HAS_DESCRIPTOR:
            return None
        is_large = self.size >= structs.FULL32 or self.header_offset >= structs.FULL32
        layout = structs.Descriptor64 if is_large or self.has_wide_descriptor else structs.Descriptor
        return structs.parse(layout, self.after, 0, self.data_offset + self.compressed_size)

    @functools.cached_property
    def after(self) -> bytes:
        """As many bytes after the data as a data descriptor has at most; raises FormatError where there is no local header."""
        at = self.data_offset + self.compressed_size
        return self.source.read(at, min(structs.DESCRIPTOR64_SIZE, max(self.source.size - at, 0)))

    @property
    def has_wide_descriptor(self) -> bool:
        """Whether the sizes after the data have 64 bits, as Info-ZIP writes to a pipe, however small the entry is."""
        return self.after[8:] == structs.build(structs.Descriptor64(self.crc, self.compressed_size, self.size))[8:]

    @property
    def stored(self) -> SourcePayload:
        """The bytes as they are in the file, compressed or not."""
        if self.data_offset + self.compressed_size > self.source.size:
            raise FormatError(f"{self.name} extends past the end of the file", *place_of(self.source, self.data_offset))
        return SourcePayload(self.source, self.data_offset, self.compressed_size)

    @property
    def payload(self) -> Payload:
        """The bytes of the record, inflated where they are deflated."""
        if self.central.flags & structs.ENCRYPTED:
            raise UnsupportedError(f"{self.name} is encrypted")
        if self.method == structs.DEFLATED:
            return InflatedPayload(self.stored, self.size, self.name)
        if self.method != structs.STORED:
            raise UnsupportedError(f"{self.name} is compressed by method {self.method}, expected 0 or 8")
        if self.size != self.compressed_size:
            raise FormatError(f"{self.name} is stored, but its sizes are {self.compressed_size} and {self.size}")
        return self.stored

    @property
    def checked(self) -> CheckedPayload:
        """The bytes of the record, whose CRC is computed as they are read."""
        return CheckedPayload(self.payload, self.name, self.crc)

    @property
    def late(self) -> CheckedPayload:
        """The same without a look at the local header, if the file is distant and the directory says enough."""
        is_plain = self.method == structs.STORED and self.size == self.compressed_size
        if not is_distant(self.source) or not is_plain or self.central.flags & structs.ENCRYPTED:
            return self.checked
        return CheckedPayload(LatePayload(self), self.name, self.crc)


class LatePayload(NamedTuple):
    """The bytes of a stored entry, whose local header is read with the first of them."""

    entry: Entry

    @property
    def length(self) -> int:
        return self.entry.compressed_size

    @property
    def seekable(self) -> bool:
        return True

    @property
    def located(self) -> SourcePayload:
        return self.entry.stored

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        return self.located.chunks(start, stop, buffers)


class Archive(NamedTuple):
    """A zip: its entries in the order of the central directory, which has `length` bytes from `start`, and its end records.

    The offsets in the directory count from the byte `base` of the source.
    """

    source: Source
    entries: tuple[Entry, ...]
    end: structs.End
    end_offset: int
    end64: structs.End64 | None
    start: int
    length: int
    base: int = 0


def read_archive(source: Source, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """The archive that a source holds. Raises FormatError where it holds none, or not a complete one."""
    end_offset = find_end(source)
    if end_offset is None:
        raise FormatError("there is no end of central directory, so this is not a complete zip")
    end, end64 = read_end(source, end_offset), read_end64(source, end_offset)
    facts = end64 or end
    start, size = facts.directory_offset, facts.directory_size
    if start + size > end_offset:
        raise FormatError(f"the central directory ({size} bytes from {start}) extends past its end record", end_offset)
    entries, length = read_directory(source, start, size, 0, facts.entries, limits)
    for entry in entries:
        if structs.true_sizes(entry.central) is None:
            raise FormatError(f"{entry.name} lacks its zip64 field", start)
        if entry.header_offset + structs.LOCAL_SIZE > start:
            raise FormatError(f"the local header of {entry.name} is at byte {entry.header_offset}, past the entries", start)
    return Archive(source, entries, end, end_offset, end64, start, length)


def read_directory(
    source: Source, start: int, size: int, base: int, count: int | None, limits: Limits
) -> tuple[tuple[Entry, ...], int]:
    """The entries of a directory of `size` bytes, so many as are counted or as fit, and the number of bytes that they take.

    Offsets count from `base`. Sizes that no zip64 field gives are taken as they are. Raises FormatError where the directory is
    not whole; if its size decides, that may end inside the name or the comment of the last entry, as for zipfile.
    """
    if start < 0 or start + size > source.size:
        raise FormatError(f"the central directory ({size} bytes from {start}) is not inside the file")
    if size > limits.directory_bytes:
        raise beyond("directory_bytes", limits.directory_bytes, f"the central directory takes {size:,} bytes, above")
    if count is not None and count * structs.CENTRAL_SIZE > size:
        raise FormatError(f"the central directory is too small ({size} bytes) for its {count} entries", start)
    data, at, entries = source.read(start, size), 0, list[Entry]()
    while at < size if count is None else len(entries) < count:
        if max(len(entries) + 1, count or 0) > limits.entries:
            raise beyond("entries", limits.entries, "the zip has more entries than")
        central = structs.parse(structs.CentralEntry, data, at, start, may_end=count is None)
        sizes = structs.true_sizes(central) or (central.size, central.compressed_size, central.offset)
        entries.append(Entry(source, central, sizes[1], sizes[0], base + sizes[2]))
        at += structs.length_of(central)
    return tuple(entries), at
