"""The structures of a zip, declared once for reading and writing.

Names and order are those of PKWARE's APPNOTE 6.3.10, section given at each. Plain named tuples go in and come out.
Each has a declaration: its fields in the order of the file, with their widths as `struct` calls them.
"""

import io
import struct
from typing import Any, NamedTuple, TypeVar, cast

from ptzip.errors import FormatError

LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR64_SIGNATURE = b"PK\x06\x07"

LOCAL_SIZE, CENTRAL_SIZE, END_SIZE, END64_SIZE, LOCATOR64_SIZE = 30, 46, 22, 56, 20
DESCRIPTOR_SIZE, DESCRIPTOR64_SIZE = 16, 24
"""The fixed parts, in bytes."""


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


class Descriptor64(NamedTuple):
    """APPNOTE 4.3.9.2, a data descriptor with 64-bit sizes."""

    crc: int
    compressed_size: int
    size: int


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
    """APPNOTE 4.3.14, the zip64 end of central directory record; `record_size` leaves out its first 12 bytes."""

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
    """APPNOTE 4.3.15, where the zip64 end of central directory record is."""

    disk: int
    offset: int
    disks: int


Structure = LocalHeader | CentralEntry | Descriptor | Descriptor64 | End | End64 | Locator64

T = TypeVar("T", LocalHeader, CentralEntry, Descriptor, Descriptor64, End, End64, Locator64)


class _Layout:
    """A signature, numbers, and behind them the bytes whose lengths are among the numbers.

    The lengths stand together, `before` is how many numbers stand before them. A tuple of this layout has the numbers that are
    no lengths, and then the bytes.
    """

    def __init__(self, signature: bytes, fields: str) -> None:
        named = [field.split(":") for field in fields.split()]
        names = [name for name, _ in named]
        self.signature = signature
        self.packer = struct.Struct("<4s" + "".join(width for _, width in named))
        self.counted = tuple(name.removesuffix(LENGTH) for name in names if name.endswith(LENGTH))
        self.before = names.index(self.counted[0] + LENGTH) if self.counted else len(names)


LENGTH = "_length"

_LAYOUTS: dict[type, _Layout] = {
    LocalHeader: _Layout(
        LOCAL_SIGNATURE,
        "needed:H flags:H method:H time:H date:H crc:I compressed_size:I size:I name_length:H extra_length:H",
    ),
    CentralEntry: _Layout(
        CENTRAL_SIGNATURE,
        "made_by:H needed:H flags:H method:H time:H date:H crc:I compressed_size:I size:I name_length:H extra_length:H "
        "comment_length:H disk:H internal:H external:I offset:I",
    ),
    Descriptor: _Layout(DESCRIPTOR_SIGNATURE, "crc:I compressed_size:I size:I"),
    Descriptor64: _Layout(DESCRIPTOR_SIGNATURE, "crc:I compressed_size:Q size:Q"),
    End: _Layout(
        END_SIGNATURE,
        "disk:H directory_disk:H entries_here:H entries:H directory_size:I directory_offset:I comment_length:H",
    ),
    End64: _Layout(
        END64_SIGNATURE,
        "record_size:Q made_by:H needed:H disk:I directory_disk:I entries_here:Q entries:Q directory_size:Q directory_offset:Q",
    ),
    Locator64: _Layout(LOCATOR64_SIGNATURE, "disk:I offset:Q disks:I"),
}


def parse(kind: type[T], stream: io.BytesIO, offset: int) -> T:
    """The structure that begins at the stream's position; `offset` is that place in the file, for the error.

    Raises FormatError where the signature is not there, or not all of the structure.
    """
    layout = _LAYOUTS[kind]
    fixed = stream.read(layout.packer.size)
    if len(fixed) < layout.packer.size or not fixed.startswith(layout.signature):
        raise FormatError(f"no whole {kind.__name__} is here, which was expected", offset)
    numbers = layout.packer.unpack(fixed)[1:]
    start, stop = layout.before, layout.before + len(layout.counted)
    counted = [stream.read(length) for length in numbers[start:stop]]
    for name, length, found in zip(layout.counted, numbers[start:stop], counted, strict=True):
        if len(found) < length:
            raise FormatError(f"a {kind.__name__} ends inside its {name}", offset)
    return kind(*numbers[:start], *numbers[stop:], *counted)


def build(structure: Structure) -> bytes:
    """The bytes of a structure."""
    layout, values = _LAYOUTS[type(structure)], cast("tuple[Any, ...]", structure)
    split = len(values) - len(layout.counted)
    numbers, counted = values[:split], values[split:]
    lengths = [len(part) for part in counted]
    fixed = layout.packer.pack(layout.signature, *numbers[: layout.before], *lengths, *numbers[layout.before :])
    return fixed + b"".join(counted)
