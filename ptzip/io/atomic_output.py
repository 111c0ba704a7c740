"""Atomic output: a new file beside the target, renamed to it when complete; no error leaves a half-written file."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ptzip.errors import EditError
from ptzip.io.compression import compression_named
from ptzip.io.payloads import CountBytes, Payload
from ptzip.io.sources import special


class NewFile(Protocol):
    """A planned file of `size` bytes: its payloads are known, none is read yet."""

    @property
    def size(self) -> int: ...

    @property
    def payloads(self) -> list[Payload]: ...

    def write(self, descriptor: int, count_bytes: CountBytes | None = None) -> None: ...


@contextlib.contextmanager
def new_file(target: Path, like: Path | None = None, sync: bool = False) -> Iterator[int]:
    """Yield a descriptor of a new file that replaces `target` at the end of the block, unless the block raises.

    `like` gives the permissions, as far as the system allows. `sync` is for replacing an original: the new file keeps the
    owner too, and is on the disk before the old one is unlinked. A symbolic link stays, and its target is replaced.
    """
    real = Path(os.path.realpath(target))
    if real.exists() and (kind := special(real)):
        raise EditError(f"the output {target} is {kind}, expected a regular file")
    temporary = real.with_name(f".ptzip-{os.urandom(8).hex()}.tmp")
    try:  # begins before the file exists, so that an interrupt at any moment leaves none
        with _named(target):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if like is not None:
                status = like.stat()
                with contextlib.suppress(OSError):
                    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                if sync:
                    with contextlib.suppress(OSError):
                        os.fchown(descriptor, status.st_uid, status.st_gid)
            yield descriptor
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with _named(target):
            temporary.replace(real)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync:
        _sync_folder(real.parent)


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError where there is something at a path that may not be overwritten."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def slim_path(source: str | os.PathLike[str]) -> Path:
    """The default output of `slim`: `last.slim.pt` beside `last.pt`.

    `last.pt.zst` becomes `last.slim.pt.zst`; the suffix of a compression that is not written is dropped.
    """
    path, kind = Path(source), compression_named(source)
    plain = path.with_suffix("") if kind else path
    return path.parent / f"{plain.stem}.slim{plain.suffix or '.pt'}{kind.suffix if kind and kind.is_written else ''}"


@contextlib.contextmanager
def _named(target: Path) -> Iterator[None]:
    """Let an OSError name the target, not the temporary file."""
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
