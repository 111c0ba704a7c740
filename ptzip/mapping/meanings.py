"""What the values of binary fields mean: one row for each kind of field, by its name and width as the layouts spell them.

Sources: PKWARE's APPNOTE 6.3.10 and Info-ZIP's `extrafld.txt` (zip), POSIX `pax` and GNU's `tar.h` (tar), RFC 1952 (gzip),
RFC 8878 (zstd).
"""

import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ptzip.formats.signatures import tar_number
from ptzip.mapping.compressed_claims import SINGLE_SEGMENT, WITH_CHECKSUM, content_size_length, dictionary_length
from ptzip.zip.structs import FULL16, FULL32

Meaning = Callable[[Any], str]
"""A value as text; "" where the value says it."""


def no_meaning(_: Any) -> str:
    return ""


def named(names: Mapping[Any, str]) -> Meaning:
    """The name of a value; "unknown" of others."""
    return lambda value: names.get(value, "unknown")


def flags(names: Mapping[int, str]) -> Meaning:
    """The bits that are set, each by its name."""

    def spelled(value: int) -> str:
        bits = (bit for bit in range(value.bit_length()) if value >> bit & 1)
        return ", ".join(names.get(bit, f"bit {bit}") for bit in bits) or "none"

    return spelled


def either(mark: int, otherwise: str) -> Meaning:
    """For a field in which the value `mark` means that the number is in another structure."""
    return lambda value: otherwise if value == mark else ""


def hexadecimal(value: int) -> str:
    return f"{value:#010x}"


def dos_time(value: int) -> str:
    """APPNOTE 4.4.6: hours, minutes and half the seconds in 5, 6 and 5 bits."""
    return f"{value >> 11:02}:{value >> 5 & 63:02}:{(value & 31) * 2:02}"


def dos_date(value: int) -> str:
    """APPNOTE 4.4.6: years since 1980, month and day in 7, 4 and 5 bits."""
    return f"{1980 + (value >> 9)}-{value >> 5 & 15:02}-{value & 31:02}" if value else "none"


def unix_time(value: int) -> str:
    try:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "none"
    except (ValueError, OverflowError, OSError):  # the last from C libraries with a smaller range
        return "no date"


def zip_version(value: int) -> str:
    """APPNOTE 4.4.3: ten times the version."""
    low = value & 0xFF
    return f"{low // 10}.{low % 10}{' (zip64)' if low == 45 else ''}" if low else ""


def made_by(value: int) -> str:
    """APPNOTE 4.4.2: the system whose attributes are in `external`, and the version."""
    version = f", version {zip_version(value)}" if value & 0xFF else ""
    return SYSTEMS.get(value >> 8, "unknown system") + version


def external(value: int) -> str:
    """APPNOTE 4.4.15: attributes of MS-DOS in the low byte; the mode in the high two bytes, if made on Unix."""
    mode, attributes = value >> 16, value & 0xFF
    texts = [stat.filemode(mode)] if mode else []
    return ", ".join(texts + [DOS_ATTRIBUTES(attributes)] * bool(attributes))


def in_tar(shown: Callable[[int], str]) -> Meaning:
    """For a number in a field of a tar."""

    def spelled(value: bytes) -> str:
        try:
            return shown(tar_number(value))
        except ValueError:
            return "no number"

    return spelled


def tar_mode(value: int) -> str:
    return stat.filemode(value & 0o7777)[1:]


def text(value: bytes) -> str:
    """A text up to its NUL."""
    return repr(value.partition(b"\0")[0].decode("utf-8", "backslashreplace"))


def zstd_descriptor(value: int) -> str:
    """RFC 8878 3.1.1.1.1: how long the fields that follow are, and whether a checksum ends the frame."""
    sizes = (f"{content_size_length(value)}-byte content size", f"{dictionary_length(value)}-byte dictionary id")
    marks = ["single segment"] * bool(value & SINGLE_SEGMENT) + ["checksum"] * bool(value & WITH_CHECKSUM)
    return ", ".join((*sizes, *marks))


def zstd_window(value: int) -> str:
    """RFC 8878 3.1.1.1.2: an exponent in the high 5 bits and eighths in the low 3."""
    base = 1 << (10 + (value >> 3))
    return f"{base + base // 8 * (value & 7):,} bytes"


SYSTEMS = {
    0: "MS-DOS",
    1: "Amiga",
    2: "OpenVMS",
    3: "Unix",
    4: "VM/CMS",
    5: "Atari ST",
    6: "OS/2",
    7: "Macintosh",
    10: "Windows NTFS",
    11: "MVS",
    13: "Acorn RISC",
    14: "VFAT",
    16: "BeOS",
    18: "OS/400",
    19: "macOS",
}
"""APPNOTE 4.4.2.2."""

METHODS = {
    0: "stored",
    1: "shrunk",
    6: "imploded",
    8: "deflated",
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "zstd",
    95: "xz",
    98: "PPMd",
    99: "encrypted (AES)",
}
"""APPNOTE 4.4.5."""

ZIP_FLAGS = {
    0: "encrypted",
    1: "method option 1",
    2: "method option 2",
    3: "data descriptor follows",
    4: "enhanced deflating",
    5: "patched data",
    6: "strongly encrypted",
    11: "UTF-8 names",
    12: "enhanced compression",
    13: "masked header",
}
"""APPNOTE 4.4.4."""

DOS_ATTRIBUTES = flags({0: "read-only", 1: "hidden", 2: "system", 3: "volume label", 4: "folder", 5: "archive"})

EXTRA_FIELDS = {
    0x0001: "zip64",
    0x000A: "NTFS times",
    0x000D: "PKWARE Unix",
    0x0017: "strong encryption",
    0x4246: "padding of torch",
    0x5455: "extended timestamp",
    0x5855: "Info-ZIP Unix, old",
    0x6375: "Info-ZIP unicode comment",
    0x7075: "Info-ZIP unicode path",
    0x7855: "Info-ZIP Unix, old ids",
    0x7875: "Info-ZIP Unix ids",
    0x9901: "AES encryption",
    0xA11E: "padding of Android",
    0xCAFE: "jar",
}
"""APPNOTE 4.5.2 and 4.6.1, Info-ZIP's `extrafld.txt`, torch's `caffe2/serialize/inline_container.cc`."""

TAR_TYPES = {
    b"0": "file",
    b"\0": "file",
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "character device",
    b"4": "block device",
    b"5": "folder",
    b"6": "fifo",
    b"7": "contiguous file",
    b"x": "pax header of the next member",
    b"g": "pax header of all that follow",
    b"X": "pax header of Solaris",
    b"K": "GNU long name of the next link's target",
    b"L": "GNU long name of the next member",
    b"S": "GNU sparse file",
    b"D": "GNU folder listing",
    b"M": "GNU continued file",
    b"V": "GNU volume label",
}

GZIP_SYSTEMS = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "TOPS-20", 11: "NTFS", 255: "unknown"}
"""RFC 1952 2.3.1; the codes of zip, apart from 10 and 11."""

_in_zip64 = "in the zip64 field"
_in_end64 = "in the zip64 end of central directory record"

tar_count = in_tar("{:,}".format)

MEANINGS: dict[str, Meaning] = {
    "made_by:H": made_by,
    "needed:H": zip_version,
    "flags:H": flags(ZIP_FLAGS),
    "method:H": named(METHODS),
    "time:H": dos_time,
    "date:H": dos_date,
    "crc:I": hexadecimal,
    "size:I": either(FULL32, _in_zip64),
    "compressed_size:I": either(FULL32, _in_zip64),
    "offset:I": either(FULL32, _in_zip64),
    "internal:H": flags({0: "text"}),
    "external:I": external,
    "disk:H": either(FULL16, _in_end64),
    "directory_disk:H": either(FULL16, _in_end64),
    "entries_here:H": either(FULL16, _in_end64),
    "entries:H": either(FULL16, _in_end64),
    "directory_size:I": either(FULL32, _in_end64),
    "directory_offset:I": either(FULL32, _in_end64),
    "id:H": lambda value: f"{value:#06x}, {named(EXTRA_FIELDS)(value)}",
    "times:B": flags({0: "modified", 1: "accessed", 2: "created"}),
    "modified:i": unix_time,
    "accessed:i": unix_time,
    "created:i": unix_time,
    "name_crc:I": hexadecimal,
    "comment_crc:I": hexadecimal,
    "name:100s": text,
    "link:100s": text,
    "uname:32s": text,
    "gname:32s": text,
    "prefix:155s": text,
    "mode:8s": in_tar(tar_mode),
    "uid:8s": tar_count,
    "gid:8s": tar_count,
    "size:12s": tar_count,
    "checksum:8s": tar_count,
    "devmajor:8s": tar_count,
    "devminor:8s": tar_count,
    "mtime:12s": in_tar(unix_time),
    "atime:12s": in_tar(unix_time),
    "ctime:12s": in_tar(unix_time),
    "offset:12s": tar_count,
    "real_size:12s": tar_count,
    **{f"{name}_{index}:12s": tar_count for name in ("offset", "size") for index in range(1, 5)},
    "type:1s": named(TAR_TYPES),
    "method:B": named({8: "deflated"}),
    "flags:B": flags({0: "text", 1: "header checksum", 2: "extra fields", 3: "name", 4: "comment"}),
    "mtime:I": unix_time,
    "level:B": named({0: "not said", 2: "best", 4: "fastest"}),
    "system:B": named(GZIP_SYSTEMS),
    "descriptor:B": zstd_descriptor,
    "window:B": zstd_window,
    "dictionary:B": hexadecimal,
    "dictionary:H": hexadecimal,
    "dictionary:I": hexadecimal,
    "checksum:I": hexadecimal,
    "magic:I": hexadecimal,
    "content_size:H": lambda value: f"{value + 256:,} bytes",  # RFC 8878 3.1.1.1.4
}
