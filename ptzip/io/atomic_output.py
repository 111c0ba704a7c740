"""The file that is being written: made beside the target, moved into its place when it is whole.

Rule: under the target's own name there is never a half-written file, and on any error nothing is left behind.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ptzip.errors import EditError
from ptzip.io.payloads import Payload
from ptzip.io.sources import special


class NewFile(Protocol):
    """A file of which every part is known, and nothing is read yet; `size` is in bytes."""

    @property
    def size(self) -> int: ...

    @property
    def payloads(self) -> list[Payload]: ...

    def write(self, descriptor: int, progress: Callable[[int], None] | None = None) -> None: ...


ZSTD, GZIP = ".zst", ".gz"
"""Suffixes of compressed files: both are read, the first is written too."""


@contextlib.contextmanager
def new_file(target: Path, like: Path | None = None, sync: bool = False) -> Iterator[int]:
    """Yield a descriptor of a new file that replaces `target` at the end of the block, unless the block raises.

    `like` gives the permissions; `sync`, for a file that is replaced, keeps its owner too and waits until the bytes are on
    the disk before the old file is let go.
    A symbolic link stays one: what it points to is replaced.
    """
    place = Path(os.path.realpath(target))
    if place.exists() and (kind := special(place)):
        raise EditError(f"the output {target} is {kind}, expected a regular file")
    temporary = place.with_name(f".ptzip-{os.urandom(8).hex()}.tmp")
    try:  # from before the file is there, so that an interrupt at any moment leaves none
        with _named(target):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if like is not None:
                _take_after(descriptor, like.stat(), is_replaced=sync)
            yield descriptor
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with _named(target):
            temporary.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync:
        _sync_folder(place.parent)


def slim_path(source: str | os.PathLike[str]) -> Path:
    """Where the slim version of a file goes by default: `last.pt` becomes `last.slim.pt` beside it.

    `last.pt.zst` becomes `last.slim.pt.zst`; other compression is not written, so its suffix goes.
    """
    path = Path(source)
    packed = path.suffix if path.suffix in (ZSTD, GZIP) else ""
    plain = path.with_suffix("") if packed else path
    return path.parent / f"{plain.stem}.slim{plain.suffix or '.pt'}{packed.removesuffix(GZIP)}"


def _take_after(descriptor: int, status: os.stat_result, is_replaced: bool) -> None:
    """Give a new file the permissions, and where it replaces the old one the owner, as far as the system allows it."""
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    if is_replaced:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)


@contextlib.contextmanager
def _named(target: Path) -> Iterator[None]:
    """Let an error name the target: nobody knows the temporary file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`; raises OSError where the disk is full."""
    view = memoryview(data)
    while len(view):
        done = os.pwrite(descriptor, view, offset)
        view, offset = view[done:], offset + done
