"""The structures of a zip, declared once: fields, signatures, sizes, flags, methods and extra fields.

Names and order are those of PKWARE's APPNOTE 6.3.10, whose section is given at each. A structure is a named tuple, and one row
of `LAYOUTS` gives its numbers in the order of the file with their widths as `struct` spells them.
"""

import struct
from typing import Any, NamedTuple, TypeVar, cast

from ptzip.errors import FormatError
from ptzip.io.layouts import Layout
from ptzip.io.sources import Source

LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR64_SIGNATURE = b"PK\x06\x07"

LOCAL_SIZE, CENTRAL_SIZE, END_SIZE, END64_SIZE, LOCATOR64_SIZE = 30, 46, 22, 56, 20
DESCRIPTOR_SIZE, DESCRIPTOR64_SIZE = 16, 24
"""The fixed parts, in bytes."""

FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
"""What a field holds when its value is in a zip64 structure (APPNOTE 4.4.1.4); also the longest comment and name."""

STORED, DEFLATED = 0, 8
"""Methods (APPNOTE 4.4.5)."""

ENCRYPTED, HAS_DESCRIPTOR, PATCHED, STRONGLY_ENCRYPTED, UTF8_NAMES, MASKED = 0x0001, 0x0008, 0x0020, 0x0040, 0x0800, 0x2000
"""General purpose flags (APPNOTE 4.4.4)."""

ZIP64_FIELD, PADDING_FIELD = 0x0001, int.from_bytes(b"FB", "little")
"""Ids of extra fields: APPNOTE 4.5.3, and torch's padding (`caffe2/serialize/inline_container.cc`)."""


class LocalHeader(NamedTuple):
    """APPNOTE 4.3.7, in front of an entry's data."""

    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed_size: int
    size: int
    name: bytes
    extra: bytes


class CentralEntry(NamedTuple):
    """APPNOTE 4.3.12, one entry of the central directory."""

    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed_size: int
    size: int
    disk: int
    internal: int
    external: int
    offset: int
    name: bytes
    extra: bytes
    comment: bytes


class Descriptor(NamedTuple):
    """APPNOTE 4.3.9, the data descriptor behind an entry's data."""

    crc: int
    compressed_size: int
    size: int


class Descriptor64(Descriptor):
    """APPNOTE 4.3.9.2, a data descriptor with 64-bit sizes."""


class End(NamedTuple):
    """APPNOTE 4.3.16, the end of central directory record (EOCD)."""

    disk: int
    directory_disk: int
    entries_here: int
    entries: int
    directory_size: int
    directory_offset: int
    comment: bytes


class End64(NamedTuple):
    """APPNOTE 4.3.14, the zip64 end of central directory record; `record_size` excludes its first 12 bytes."""

    record_size: int
    made_by: int
    needed: int
    disk: int
    directory_disk: int
    entries_here: int
    entries: int
    directory_size: int
    directory_offset: int


class Locator64(NamedTuple):
    """APPNOTE 4.3.15, the zip64 end of central directory locator."""

    disk: int
    offset: int
    disks: int


Structure = LocalHeader | CentralEntry | Descriptor | End | End64 | Locator64

T = TypeVar("T", bound=Structure)


class HeaderLayout(Layout):
    """The fixed part of a structure: a signature, then numbers, some of them the lengths of the bytes that follow.

    The lengths are adjacent, `before` numbers precede them. A structure is the other numbers in their order, then those bytes.
    """

    def __init__(self, label: str, signature: bytes, fields: str) -> None:
        super().__init__(f"signature:4s {fields}")
        self.label = label
        self.signature = signature
        self.numbers = self.names[1:]
        self.counted = tuple(name.removesuffix(LENGTH) for name in self.numbers if name.endswith(LENGTH))
        self.before = self.numbers.index(self.counted[0] + LENGTH) if self.counted else len(self.numbers)
        self.lengths = struct.Struct(f"<{len(self.counted)}H")
        self.lengths_at = self.span(self.counted[0] + LENGTH).start if self.counted else self.size


LENGTH = "_length"
"""How the name of a number ends that is the length of the bytes of that name."""

LAYOUTS: dict[type, HeaderLayout] = {
    LocalHeader: HeaderLayout(
        "local header",
        LOCAL_SIGNATURE,
        "needed:H flags:H method:H time:H date:H crc:I compressed_size:I size:I name_length:H extra_length:H",
    ),
    CentralEntry: HeaderLayout(
        "central directory entry",
        CENTRAL_SIGNATURE,
        "made_by:H needed:H flags:H method:H time:H date:H crc:I compressed_size:I size:I name_length:H extra_length:H "
        "comment_length:H disk:H internal:H external:I offset:I",
    ),
    Descriptor: HeaderLayout("data descriptor", DESCRIPTOR_SIGNATURE, "crc:I compressed_size:I size:I"),
    Descriptor64: HeaderLayout("zip64 data descriptor", DESCRIPTOR_SIGNATURE, "crc:I compressed_size:Q size:Q"),
    End: HeaderLayout(
        "end of central directory record",
        END_SIGNATURE,
        "disk:H directory_disk:H entries_here:H entries:H directory_size:I directory_offset:I comment_length:H",
    ),
    End64: HeaderLayout(
        "zip64 end of central directory record",
        END64_SIGNATURE,
        "record_size:Q made_by:H needed:H disk:I directory_disk:I entries_here:Q entries:Q directory_size:Q directory_offset:Q",
    ),
    Locator64: HeaderLayout("zip64 locator", LOCATOR64_SIGNATURE, "disk:I offset:Q disks:I"),
}


def parse(kind: type[T], data: bytes, at: int = 0, base: int = 0, *, may_end: bool = False) -> T:
    """The structure at `data[at:]`, where `data` are the bytes of a file from its offset `base`.

    Raises FormatError where another signature is there, or only a part of the structure. If it `may_end` there, the bytes after
    the fixed part are what is there of them.
    """
    fields = LAYOUTS[kind]
    if len(data) - at < fields.size or not data.startswith(fields.signature, at):
        raise FormatError(f"expected a complete {fields.label} here", base + at)
    numbers = fields.packer.unpack_from(data, at)[1:]
    start, stop = fields.before, fields.before + len(fields.counted)
    counted, end = list[bytes](), at + fields.size
    for name, length in zip(fields.counted, numbers[start:stop], strict=True):
        counted.append(data[end : end + length])
        end += length
        if end > len(data) and not may_end:
            raise FormatError(f"the {fields.label} ends inside its {name}", base + at)
    return kind(*numbers[:start], *numbers[stop:], *counted)


def read(kind: type[T], source: Source, offset: int) -> T:
    """The structure at an offset of a source. Raises FormatError where it is not there, CutError where the source ends."""
    fields = LAYOUTS[kind]
    data = source.read(offset, fields.size)
    if fields.counted:
        end = offset + fields.size
        data += source.read(end, min(sum(lengths(kind, data)), source.size - end))
    return parse(kind, data, 0, offset)


def build(structure: Structure) -> bytes:
    """The bytes of a structure."""
    fields, values = LAYOUTS[type(structure)], cast("tuple[Any, ...]", structure)
    split = len(values) - len(fields.counted)
    counted = values[split:]
    before, after = values[: fields.before], values[fields.before : split]
    return fixed_part(type(structure), *before, *map(len, counted), *after) + b"".join(counted)


def fixed_part(kind: type[Structure], *numbers: int) -> bytes:
    """The fixed part of a structure from all its numbers, lengths included."""
    fields = LAYOUTS[kind]
    return fields.packer.pack(fields.signature, *numbers)


def length_of(structure: Structure) -> int:
    """The number of bytes of a structure."""
    fields, values = LAYOUTS[type(structure)], cast("tuple[Any, ...]", structure)
    return fields.size + sum(map(len, values[len(values) - len(fields.counted) :]))


def lengths(kind: type[T], data: bytes, at: int = 0) -> tuple[int, ...]:
    """The lengths of the bytes that follow the fixed part at `data[at:]`, whatever its signature."""
    fields = LAYOUTS[kind]
    return fields.lengths.unpack_from(data, at + fields.lengths_at)


def numbers(kind: type[T], data: bytes, at: int = 0) -> dict[str, int]:
    """The numbers of the fixed part at `data[at:]` by name, lengths as `name_length`, whatever its signature."""
    fields = LAYOUTS[kind]
    return dict(zip(fields.numbers, fields.packer.unpack_from(data, at)[1:], strict=True))


def true_sizes(entry: CentralEntry) -> tuple[int, int, int] | None:
    """Size, compressed size and header offset, each from the zip64 field where it overflows (APPNOTE 4.5.3).

    None where that field is missing or too short.
    """
    values = [entry.size, entry.compressed_size, entry.offset]
    full = [index for index, value in enumerate(values) if value == FULL32]
    if full:
        field = extra_fields(entry.extra).get(ZIP64_FIELD, b"")
        if len(field) < 8 * len(full):
            return None
        for position, index in enumerate(full):
            (values[index],) = struct.unpack_from("<Q", field, 8 * position)
    return values[0], values[1], values[2]


def extra_fields(extra: bytes) -> dict[int, bytes]:
    """The extra fields by id, the first of each, up to where they stop being well-formed (APPNOTE 4.5.1)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<HH", extra, at)
        found.setdefault(ident, extra[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def extra_field(ident: int, data: bytes) -> bytes:
    """One extra field (APPNOTE 4.5.1)."""
    return struct.pack("<HH", ident, len(data)) + data


def decode_name(name: bytes) -> str:
    """An entry's name as text; `encode_name` gives the same bytes again."""
    return name.decode("utf-8", "surrogateescape")


def encode_name(name: str) -> bytes:
    """An entry's name as its bytes. Raises FormatError for half a surrogate pair, which a key in a pickle may be."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise FormatError(f"the name {name!a} of a record cannot be stored: it has half a surrogate pair") from None
