"""Folders for unfinished files: `.ptzip-0123456789abcdef.tmp`, beside the files that they become.

Nobody else can enter one. It is locked while its process lives, so the next run that writes beside it can tell which ones were
left by a process that was killed, and removes those.
"""

import contextlib
import os
import re
from pathlib import Path

from ptzip.io.system import PRIVATE, patiently

NAME = re.compile(r"\.ptzip-[0-9a-f]{16}\.tmp")


class WorkFolder:
    """A folder in `parent`, whose `path` is known before it exists."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.path = self._new_path()
        self._lock: int | None = None

    def _new_path(self) -> Path:
        return self.parent / f".ptzip-{os.urandom(8).hex()}.tmp"

    def create(self) -> None:
        """Create the folder. Raises OSError where that is not possible."""
        _remove_abandoned(self.parent)
        self._make()
        while not self.path.exists():  # another run took it for an abandoned one before it was locked
            self._unlock()
            self.path = self._new_path()
            self._make()

    def _make(self) -> None:
        self.path.mkdir(PRIVATE)
        with contextlib.suppress(FileNotFoundError):  # as above
            self.path.chmod(PRIVATE)  # a umask may forbid the owner too
        self._lock = _lock(self.path)

    def remove(self) -> None:
        """Remove the folder and what is in it, as far as possible."""
        with contextlib.suppress(OSError):
            for folder, _, names in os.walk(self.path, topdown=False):
                for name in names:
                    patiently(Path(folder, name).unlink)
                Path(folder).rmdir()
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of processes that are gone."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for name in [entry.name for entry in entries if NAME.fullmatch(entry.name)]:
            _remove_if_abandoned(parent / name)


def _remove_if_abandoned(path: Path) -> None:
    lock = _lock(path, wait=False)
    if lock is None:
        return
    with contextlib.suppress(OSError):
        for _, folders, names, within in os.fwalk(".", topdown=False, dir_fd=lock):  # the path may lead elsewhere by now
            for name in names:
                os.unlink(name, dir_fd=within)
            for name in folders:
                os.rmdir(name, dir_fd=within)
        path.rmdir()
    os.close(lock)


def _lock(path: Path, wait: bool = True) -> int | None:
    """An open descriptor that locks a folder; None where its owner has it, or nobody can lock it here."""
    try:
        import fcntl  # Windows has none
    except ImportError:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
