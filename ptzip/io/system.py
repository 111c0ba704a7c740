"""What systems do differently: the call that is made where the system has it, and what does the same with calls that all have.

Windows has no reads and writes at an offset, no names for open files, and does not rename over a file that is open.
"""

import contextlib
import errno
import io
import os
import re
import time
from _thread import allocate_lock  # `threading` takes a fiftieth of the time of a small scan
from collections.abc import Callable, Iterator
from typing import BinaryIO

POSITIONS = tuple(allocate_lock() for _ in range(16))
"""Locks for the positions of open files, which systems without reads at an offset move; descriptors share them."""

IS_WINDOWS = os.name == "nt"
"""Everything that depends on the name of the system itself is below; the rest is decided by which calls there are."""

RENAMES_FREELY = not IS_WINDOWS
"""Whether renaming replaces what has the name: without being asked to, and also a file that is open or read-only."""

MOST_PROCESSES = 61 if IS_WINDOWS else 1 << 10
"""Processes of a pool: WaitForMultipleObjects waits for 64 handles, of which three are Python's own."""

PRIVATE = 0o777 if IS_WINDOWS else 0o700
"""The mode of folders for unfinished files. A file keeps the access that it gets there, and on Windows has no other."""

DESCRIPTORS = "/dev/fd"
"""The folder in which systems name open files by their descriptors."""

NOT_FOUND, ACCESS_DENIED, SHARING_VIOLATION, LOCK_VIOLATION, TOO_LONG = 3, 5, 32, 33, 206
"""Errors of Windows (winerror.h: ERROR_PATH_NOT_FOUND to ERROR_FILENAME_EXCED_RANGE). To replace a file that is open is the
second, a path that is too long may be the first."""

IN_USE = "another program has the file open: close it there and try again"

REASONS = {
    ACCESS_DENIED: "access is denied, or another program has the file open",
    SHARING_VIOLATION: IN_USE,
    LOCK_VIOLATION: IN_USE,
    TOO_LONG: "the path has more than 259 characters, which Windows takes only where long paths are enabled (LongPathsEnabled)",
}
"""What they mean here."""

MAX_PATH = 260
"""The limit of paths on Windows, with the zero at the end. Python lifts it where the registry has LongPathsEnabled."""

PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds to wait for a program that has a file open for a moment."""

DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
"""The names of devices, with any suffix ("Naming Files, Paths, and Namespaces", learn.microsoft.com)."""


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """At most `length` bytes of an open file from `offset`; any thread may call it."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    with POSITIONS[descriptor % len(POSITIONS)]:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)


def read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read into a buffer, from `offset`; returns the number of bytes. Any thread may call it."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    with POSITIONS[descriptor % len(POSITIONS)], io.FileIO(descriptor, closefd=False) as file:
        file.seek(offset)
        return file.readinto(buffer)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`; raises OSError where the disk is full. Any thread may call it."""
    view = memoryview(data)
    while len(view):
        done = write_some(descriptor, view, offset)
        if not done:
            raise OSError(errno.EIO, "the file takes no more bytes")
        view, offset = view[done:], offset + done


def write_some(descriptor: int, view: memoryview, offset: int) -> int:
    """Write at least one byte at `offset`, if the file takes any; returns the number of bytes."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, offset)
    with POSITIONS[descriptor % len(POSITIONS)]:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, view)


@contextlib.contextmanager
def temporary_path(fill: Callable[[BinaryIO], object]) -> Iterator[str]:
    """A path to a temporary file, for a library that opens nothing else; `fill` writes it.

    Where the system names open files, the file has no other name, so that nothing remains of it even if this process is killed.
    """
    import tempfile  # only what looks at the tensors of a safetensors file needs it

    if os.path.isdir(DESCRIPTORS):  # noqa: PTH112 (few readers of tensors need pathlib)
        with tempfile.TemporaryFile() as unnamed:
            fill(unnamed)
            unnamed.flush()
            yield f"{DESCRIPTORS}/{unnamed.fileno()}"
        return
    from pathlib import Path  # as above

    from ptzip.io.unfinished import temporary_folder  # as above

    with temporary_folder() as folder:
        path = Path(folder, "file")
        with path.open("wb") as named:  # closed before it is opened again
            fill(named)
        yield str(path)


def reason(error: OSError) -> str:
    """What the system says of an error, in words that help where its own do not."""
    number = getattr(error, "winerror", None)
    if number == NOT_FOUND and len(os.path.abspath(str(error.filename))) >= MAX_PATH:  # noqa: PTH100 (as above)
        number = TOO_LONG
    return REASONS.get(number or 0, error.strerror or str(error))


def patiently(change: Callable[[], object]) -> None:
    """Rename, replace or remove a file, again after a pause where Windows says that it is open: scanners for viruses and
    indexers open new files for a moment.
    """
    for pause in PAUSES:
        try:
            change()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in (ACCESS_DENIED, SHARING_VIOLATION):
                raise
            time.sleep(pause)
        else:
            return
    change()


def renamed_silently(path: str | os.PathLike[str]) -> str | None:
    """What Windows takes for something else in a path, without an error, and for what; None where it takes it as it is."""
    from pathlib import PureWindowsPath  # as above

    whole = PureWindowsPath(path)
    for part in whole.parts[bool(whole.anchor) :] if IS_WINDOWS else ():
        if DEVICE.fullmatch(part):
            return f"{part} is a device on Windows"
        if part[-1] in ". " and part != "..":
            return f"Windows drops the end of {part!r}"
        if ":" in part:
            return f"on Windows {part} is a stream of another file"
    return None
