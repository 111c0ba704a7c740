"""Zips put together from their structures, so that any of them can be wrong."""

import struct
import zlib
from collections.abc import Mapping
from typing import Any

from ptzip.zip import structs


def local(name: str, data: bytes, **changes: Any) -> bytes:
    """A local header and its data."""
    header = structs.LocalHeader(20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), name.encode(), b"")
    return structs.build(header._replace(**changes)) + data


def central(name: str, data: bytes, offset: int, **changes: Any) -> bytes:
    """The directory's entry for data."""
    sizes = (zlib.crc32(data), len(data), len(data))
    entry = structs.CentralEntry(20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, offset, name.encode(), b"", b"")
    return structs.build(entry._replace(**changes))


def end(count: int, size: int, offset: int, **changes: Any) -> bytes:
    return structs.build(structs.End(0, 0, count, count, size, offset, b"")._replace(**changes))


def cut_end(count: int, size: int, offset: int) -> bytes:
    """An end record whose comment is not there, which loaders do not mind."""
    return end(count, size, offset)[:-2] + struct.pack("<H", 9)


def end64(count: int, size: int, offset: int, located: int | None = None, **changes: Any) -> bytes:
    """A zip64 record, the locator that leads to it or elsewhere, and an end record that leaves all to it."""
    record = structs.build(structs.End64(44, 45, 45, 0, 0, count, count, size, offset)._replace(**changes))
    locator = structs.build(structs.Locator64(0, offset + size if located is None else located, 1))
    return record + locator + structs.build(structs.End(0, 0, structs.FULL16, structs.FULL16, size, structs.FULL32, b""))


def laid(files: Mapping[str, bytes], at: int = 0, shift: int = 0) -> tuple[bytes, bytes]:
    """Entries from a byte of the file on, and a directory that says they are `shift` bytes before."""
    body, directory = b"", b""
    for name, data in files.items():
        directory += central(name, data, at + len(body) - shift)
        body += local(name, data)
    return body, directory


def whole(files: Mapping[str, bytes], front: bytes = b"") -> bytes:
    """A zip behind other bytes, from which its offsets count."""
    body, directory = laid(files, len(front))
    return front + body + directory + end(len(files), len(directory), len(front + body))


def covered(zipped: bytes, length: int) -> bytes:
    """A zip, the comment of which covers so many bytes that will follow it."""
    return zipped[:-2] + struct.pack("<H", length)
