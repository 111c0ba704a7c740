"""Sources: bytes at rest in a file, in memory or behind a file object, read at any offset from any thread."""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, runtime_checkable

from ptzip.errors import ChangedError, CutError, FormatError, Problem, PtzipError
from ptzip.io import system
from ptzip.io.streams import PagedStream, Stream
from ptzip.io.urls import MEMBER_MARK, is_url, split_url

if TYPE_CHECKING:
    import mmap

CHUNK = 1 << 20
"""Bytes per read or write: large enough for the system calls, small enough for the caches."""

STRIPE = 8 << 20
"""Bytes of a payload that one thread handles at a time."""

SPECIAL = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class Position(NamedTuple):
    """A byte of a file: `offset` counts from the start of the file or, where `inside` is not "", of what it names: content that
    the file has only compressed or encoded.
    """

    offset: int
    inside: str = ""

    def __str__(self) -> str:
        return f"byte {self.offset} in {self.inside}" if self.inside else f"byte {self.offset}"


START = Position(0)


@runtime_checkable
class Source(Protocol):
    """Bytes at rest: `size` of them, under a `name` for messages. A closed source raises PtzipError when it is read."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; raises CutError where the source ends before."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset`; raises CutError where the source ends before."""

    def whole(self) -> Stream:
        """All bytes; those of a large file are read when they are accessed."""

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        """Raise ChangedError if another program wrote to the file since it was opened, replaced or removed it."""

    def close(self) -> None: ...


class MemberOf(NamedTuple):
    """One checkpoint of a tar or zip of files that is open: what the path FILE::NAME is for a file that has no path."""

    file: BinaryIO
    member: str

    def __str__(self) -> str:
        return f"{self.file.name}{MEMBER_MARK}{self.member}"


Openable = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | MemberOf | Source
"""What a checkpoint can be opened from: a path, a URL, its bytes, a file object with `read`, `seek` and `tell`, or an open
source."""


def split_member(path: str | os.PathLike[str]) -> tuple[str, str]:
    """A path as the file and the name behind the mark in it, as in `model.nemo::weights.ckpt`; "" without one.

    A file may itself have the mark in its name.
    """
    whole = os.fspath(path)
    if is_url(whole):
        return split_url(whole)
    file, _, name = (whole, "", "") if MEMBER_MARK not in whole or os.path.lexists(whole) else whole.partition(MEMBER_MARK)
    return file, name


def named_member(source: Openable) -> tuple[Openable, str]:
    """The same of anything that can be opened."""
    if isinstance(source, MemberOf):
        return source
    return split_member(source) if isinstance(source, str | os.PathLike) else (source, "")


class NamedSource(NamedTuple):
    """A part of a `file`, as a source under another name; `base` has its bytes, in memory if the file has them compressed."""

    base: Source
    name: str
    file: Source

    @property
    def size(self) -> int:
        return self.base.size

    def read(self, offset: int, length: int) -> bytes:
        return self.base.read(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.base.read_into(offset, buffer)

    def whole(self) -> Stream:
        return self.base.whole()

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        self.file.check_unchanged(may_be_replaced)

    def close(self) -> None:
        self.base.close()

    def __copy__(self) -> "NamedSource":
        import copy  # few sources are opened more than once

        return self._replace(base=copy.copy(self.base))

    def __enter__(self) -> "NamedSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Identity(NamedTuple):
    """Which file it is, and which version of it: another program that writes the file changes one of these."""

    device: int
    inode: int
    size: int
    modified: int
    """In nanoseconds."""

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class BaseSource:
    """A source that needs nothing of its own but `name`, `size`, `read_into`, `identity` and `close`.

    A subclass calls `__init__` once the others are set, or has a `check_unchanged` of its own.
    """

    name: str
    size: int
    is_distant = False
    """Whether each look at another part takes a request."""

    def __init__(self) -> None:
        self._opened_as = self.identity()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        raise NotImplementedError

    def identity(self) -> object:
        """What is another value once the bytes are others, as the version that a server names; None where nobody can tell."""
        return None

    def expect(self, offset: int, length: int) -> None:
        """Announce that these bytes will be read in order, so that a source with slow reads can read ahead."""

    def close(self) -> None:
        raise NotImplementedError

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:  # before memory is taken
            raise ends_early(offset, length, self.size - offset)
        data = bytearray(length)
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def whole(self) -> Stream:
        return whole(self)

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        if self.identity() not in (None, self._opened_as):
            raise changed("another program wrote to it")


CLOSED = -1
"""The number of a descriptor that is closed."""


class SharedDescriptor:
    """An open descriptor. It is closed once nobody holds it, so that no thread reads from a number that was given away."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it for all who hold it."""
        number, self.number = self.number, CLOSED
        if number != CLOSED:
            with contextlib.suppress(OSError):  # nothing was written to it
                os.close(number)


class DescriptorSource:
    """An open regular file, of which any thread may read any part. It closes its descriptor; `origin` is where its first byte
    is.
    """

    def __init__(self, descriptor: int, name: str, origin: Position = START) -> None:
        self.name = name
        self.origin = origin
        self._descriptor: SharedDescriptor | None = SharedDescriptor(descriptor)
        self.status = os.fstat(descriptor)
        """What it was when it was opened."""
        self.size = self.status.st_size
        self._is_short = False
        """Whether a read gave less than the file had, which a caller may have taken for damage."""

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise ends_early(offset, length, self.size - offset)
        held = self._held()
        try:
            data = system.read_at(held.number, length, offset)
            while 0 < len(data) < length:
                more = system.read_at(held.number, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise about(self.name, error) from error
        self._is_short = self._is_short or len(data) < length
        return _complete(data, offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        held, at = self._held(), 0
        while at < len(buffer):
            try:
                count = system.read_into(held.number, buffer[at:], offset + at)
            except OSError as error:
                raise about(self.name, error) from error
            if not count:
                raise ends_early(offset, len(buffer), at)
            at += count

    def whole(self) -> Stream:
        """All bytes. They are not mapped: a mapping of a file that another program cuts kills the process (SIGBUS)."""
        return whole(self)

    def mapped(self) -> "mmap.mmap":
        """The bytes as a read-only map, for callers who know that nobody cuts the file while they use it."""
        import mmap  # few callers ask for it

        return mmap.mmap(self._held().number, 0, access=mmap.ACCESS_READ)

    def fileno(self) -> int:
        return self._held().number

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        held = self._held()
        now = os.fstat(held.number)
        if now.st_mtime_ns != self.status.st_mtime_ns or now.st_size != self.size:
            raise changed("another program wrote to it")
        if self._is_short:
            raise changed("a read ended before the file does")

    def _held(self) -> SharedDescriptor:
        held = self._descriptor
        if held is None or held.number == CLOSED:
            raise closed(self.name)
        return held

    def close_everywhere(self) -> None:
        """Close the file for all sources of it: Windows replaces no file that is open."""
        self._held().close()

    def close(self) -> None:
        self._descriptor = None


class FileSource(DescriptorSource):
    """The file at a path, which other programs may change."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        kind = special(path)  # checked before opening: opening a pipe waits for a writer
        if kind:
            raise FormatError(f"this is {kind}, expected a regular file")
        self.path = os.fspath(path)
        super().__init__(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), self.path)

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        super().check_unchanged()  # who reads a tensor may have opened the file long ago
        return data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        super().read_into(offset, buffer)
        super().check_unchanged()

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        super().check_unchanged()
        if may_be_replaced:  # what was read is one version of it
            return
        try:
            now = os.stat(self.path)  # noqa: PTH116 (as in `special`)
        except FileNotFoundError:
            raise changed("another program removed it") from None
        if Identity.of(now) != Identity.of(self.status):
            raise changed("another program replaced it")


class BytesSource:
    """A buffer in memory; `origin` is where its first byte is."""

    def __init__(self, data: bytes, name: str = "<bytes>", origin: Position = START) -> None:
        self.name = name
        self.origin = origin
        self.size = len(data)
        self._data: bytes | None = data

    def read(self, offset: int, length: int) -> bytes:
        return _complete(self.whole()[offset : offset + length], offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read(offset, len(buffer))

    def whole(self) -> bytes:
        if self._data is None:
            raise closed(self.name)
        return self._data

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        pass

    def close(self) -> None:
        self._data = None


def _size_of(file: BinaryIO) -> int:
    """The bytes of a file object. Raises TypeError for one in text mode, or that cannot read or seek, as a socket."""
    try:
        if not isinstance(file.read(0), bytes):
            raise TypeError("cannot open a file object in text mode: open the file with mode 'rb'")
        file.seek(0, os.SEEK_END)  # an mmap returns nothing here before Python 3.13
    except OSError as error:
        if not isinstance(error, io.UnsupportedOperation) and error.errno != errno.ESPIPE:
            raise
        raise TypeError("cannot open a file object that cannot read and seek: read all of it, and open the bytes") from error
    return file.tell()


class FileObjectSource(BaseSource):
    """A binary file object of the caller, from its first byte to its last; one thread reads at a time."""

    def __init__(self, file: BinaryIO) -> None:
        import threading  # a fiftieth of the time of a small scan, and few sources are file objects

        name = getattr(file, "name", None)
        self.name = name if isinstance(name, str) else "<file object>"
        self._file: BinaryIO | None = file
        self._lock = threading.Lock()
        self.size = _size_of(file)
        super().__init__()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > self.size:
            raise ends_early(offset, len(buffer), self.size - offset)
        at = 0
        with self._lock:
            if self._file is None or self._file.closed:
                raise closed(self.name)
            try:
                self._file.seek(offset)
                while at < len(buffer) and (piece := self._file.read(len(buffer) - at)):  # an unbuffered file may give fewer
                    buffer[at : at + len(piece)] = piece
                    at += len(piece)
            except OSError as error:
                raise about(self.name, error) from error
        if at < len(buffer):
            raise ends_early(offset, len(buffer), at)

    def identity(self) -> Identity | None:
        """That of a file that was opened; other objects do not say whether they change."""
        if not isinstance(self._file, io.FileIO | io.BufferedReader | io.BufferedRandom):
            return None
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed, or reads from something else
            return Identity.of(os.fstat(self._file.fileno()))
        return None

    def close(self) -> None:
        """Let go of the file object, which is its caller's to close."""
        self._file = None


class Window(NamedTuple):
    """A part of another source, as a source: `size` bytes from `offset`. Closing it leaves the other open."""

    base: Source
    offset: int
    size: int

    @property
    def name(self) -> str:
        return self.base.name

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            with placed(self):
                raise ends_early(offset, length, self.size - offset)
        return self.base.read(self.offset + offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > self.size:
            with placed(self):
                raise ends_early(offset, len(buffer), self.size - offset)
        self.base.read_into(self.offset + offset, buffer)

    def whole(self) -> Stream:
        return self.base.whole() if self.size == self.base.size else whole(self)

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        self.base.check_unchanged(may_be_replaced)

    def close(self) -> None:
        pass


@contextlib.contextmanager
def unchanged(source: Source, is_replaced: bool = False) -> Iterator[None]:
    """Raise ChangedError at the end of the block, or in place of its error, where another program changed the file meanwhile.

    What reads bytes twice counts on their being the same. A block that makes outputs, of which one may replace the file, has
    done the check at its end itself (`new_files`): `is_replaced`.
    """
    try:
        yield
    except Exception:
        source.check_unchanged()
        raise
    if not is_replaced:
        source.check_unchanged()


@contextlib.contextmanager
def placed(source: Source) -> Iterator[None]:
    """Let errors about bytes of a source say where those are in the file; the innermost of several sources counts."""
    try:
        yield
    except PtzipError as error:
        if error.inside is None:
            error.offset, error.inside = place_of(source, error.offset)
        raise


def placed_problems(problems: Iterable[Problem], source: Source) -> Iterator[Problem]:
    """Problems of a source that say where in the file they are."""
    for one in problems:
        yield one if one.inside is not None else Problem(*one[:3], *place_of(source, one.offset))


def place_of(source: Source, offset: int | None) -> tuple[int | None, str]:
    """The position of a byte; None where the source has none at that offset, as a header may claim. Its end counts as one."""
    return position(source, offset) if offset is not None and 0 <= offset <= source.size else (None, "")


def position(source: Source, offset: int) -> Position:
    """Where a byte of a source is, from the start of the file that it is a part of."""
    base, at = _based(source, offset)
    origin: Position = getattr(base, "origin", START)
    return Position(origin.offset + at, origin.inside)


def expect(source: Source, offset: int, length: int) -> None:
    """Announce that a part of a source will be read in order: that of a remote file is then fetched ahead of its reader."""
    base, at = _based(source, offset)
    if isinstance(base, BaseSource):
        base.expect(at, length)


def is_distant(source: Source) -> bool:
    """Whether each look at another part of a source takes a request, so that what nobody needs is not looked at."""
    base, _ = _based(source, 0)
    return isinstance(base, BaseSource) and base.is_distant


def look_everywhere(source: Source) -> None:
    """Have everything in a source looked at, whatever each look takes."""
    base, _ = _based(source, 0)
    if isinstance(base, BaseSource):
        base.is_distant = False


def _based(source: Source, offset: int) -> tuple[Source, int]:
    """The source that a part is of, and where a byte of the part is in it."""
    while isinstance(source, Window | NamedSource):
        offset += source.offset if isinstance(source, Window) else 0
        source = source.base
    return source, offset


def whole(source: Source) -> Stream:
    """All bytes of a source: in memory if they are few, or else read page by page."""
    return source.read(0, source.size) if source.size <= CHUNK else PagedStream(source.read, source.size, CHUNK)


def special(path: str | os.PathLike[str]) -> str | None:
    """What a path leads to in a word, or None where it is a regular file. Raises OSError where there is nothing."""
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fspath(path))
    mode = os.stat(path).st_mode  # noqa: PTH116 (pathlib takes a twentieth of the time of a scan to import)
    return None if stat.S_ISREG(mode) else SPECIAL.get(stat.S_IFMT(mode), "a special file")


def about(name: str | os.PathLike[str], error: OSError) -> OSError:
    """The same error, which names the file it is about."""
    return OSError(error.errno, system.reason(error), os.fspath(name))


def changed(how: str) -> ChangedError:
    return ChangedError(f"the file changed while it was read ({how}): try again")


def _complete(data: bytes, offset: int, length: int) -> bytes:
    if len(data) != length:
        raise ends_early(offset, length, len(data))
    return data


def ends_early(offset: int, length: int, available: int) -> CutError:
    return CutError(f"the file ends early: expected {length} bytes, found {max(available, 0)}", offset)


def closed(name: str) -> PtzipError:
    return PtzipError(f"{name} is closed: read from it before closing it, or open it again")


class SourceFile(io.RawIOBase):
    """A source as a file object, for libraries that read one."""

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
        available = max(self._source.size - self._at, 0)
        data = self._source.read(self._at, available if size < 0 else min(size, available)) if available else b""
        self._at += len(data)
        return data
