"""Bytes at rest, and bytes on their way.

A `Source` is where bytes lie: a file or a buffer, read at any offset. A `Payload` is a length and the chunks that make it
up, pulled once, from whatever thread. Rule: nothing is read before it is pulled, and no chunk is larger than `CHUNK`.
"""

import errno
import io
import mmap
import os
import stat
from typing import NamedTuple, Protocol

from ptzip.errors import CutError, FormatError

CHUNK = 1 << 20
"""Bytes move in pieces of this size, in bytes: large enough for the system calls, small enough for the caches."""

STRIPE = 8 << 20
"""Several threads share a payload in pieces of this size."""

WORKERS = max(1, min(4, os.cpu_count() or 1))
"""The threads that read or write one file."""


SPECIAL = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


Stream = bytes | mmap.mmap
"""Bytes that can be indexed, sliced and searched."""


class Source(Protocol):
    """Where bytes lie."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; raises FormatError where the source ends before."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """As many bytes from `offset` as the buffer holds; raises FormatError where the source ends before."""
        ...

    def whole(self) -> Stream:
        """All bytes, to be looked at from any place; those of a file are not read before they are looked at."""
        ...


class FileSource:
    """An open regular file, read by `pread`, so any thread may read any part."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = self.path = os.fspath(path)
        kind = special(path)  # asked before it is opened, since opening a pipe waits for a writer
        if kind:
            raise FormatError(f"this is {kind}, expected a regular file")
        self._file = io.FileIO(path)
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise _early(offset, length, self.size - offset)
        data = os.pread(self._file.fileno(), length, offset)
        while 0 < len(data) < length:
            more = os.pread(self._file.fileno(), length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return _whole(data, offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        at = 0
        while at < len(buffer):
            count = os.preadv(self._file.fileno(), [buffer[at:]], offset + at)
            if not count:
                raise _early(offset, len(buffer), at)
            at += count

    def whole(self) -> Stream:
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    def close(self) -> None:
        self._file.close()


def special(path: str | os.PathLike[str]) -> str | None:
    """What a path leads to in a word, or None where it is a regular file. Raises OSError where there is nothing."""
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fspath(path))
    mode = os.stat(path).st_mode  # noqa: PTH116 (pathlib takes a twentieth of the time of a scan to import)
    return None if stat.S_ISREG(mode) else SPECIAL.get(stat.S_IFMT(mode), "a special file")


class BytesSource:
    """A buffer in memory."""

    def __init__(self, data: bytes, name: str = "<bytes>") -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return _whole(self._data[offset : offset + length], offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read(offset, len(buffer))

    def whole(self) -> Stream:
        return self._data

    def close(self) -> None:
        pass


def _whole(data: bytes, offset: int, length: int) -> bytes:
    if len(data) != length:
        raise _early(offset, length, len(data))
    return data


def _early(offset: int, length: int, left: int) -> CutError:
    return CutError(f"the file ends early: {length} bytes were expected, {max(left, 0)} are there", offset)


class SourceFile(io.RawIOBase):
    """A source as a file, for libraries that read one."""

    def __init__(self, source: Source) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._source.size - self._at, 0)
        data = self._source.read(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data


class Window(NamedTuple):
    """A part of another source, as a source: `size` bytes from `offset`."""

    base: Source
    offset: int
    size: int

    @property
    def name(self) -> str:
        return self.base.name

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise _early(offset, length, self.size - offset)
        return self.base.read(self.offset + offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > self.size:
            raise _early(offset, len(buffer), self.size - offset)
        self.base.read_into(self.offset + offset, buffer)

    def whole(self) -> bytes:
        return self.read(0, self.size)
