"""Two renames that lose no file, whatever other programs do at the same moment.

Both are single system calls of Linux (renameat2(2)); elsewhere, and on file systems that lack them, hard links come close.
Windows has the first.
"""

import errno
import os
import stat
from pathlib import Path

from ptzip.io.system import IS_WINDOWS, RENAMES_FREELY, patiently

CURRENT_FOLDER = -100
"""`AT_FDCWD` of `linux/fcntl.h`."""

NO_REPLACE, EXCHANGE = 1, 2
"""`RENAME_NOREPLACE` and `RENAME_EXCHANGE` of `linux/fs.h`."""

NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def rename_new(path: Path, target: Path) -> None:
    """Rename to a name that is free; raises FileExistsError if it is not, also if it is taken at the last moment."""
    if not RENAMES_FREELY:
        patiently(lambda: os.rename(path, target))  # noqa: PTH104 (the promise is that of this function)
        return
    try:
        target.hardlink_to(path)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a file system without hard links, such as FAT, or a system: Android
        if not _renameat2(path, target, NO_REPLACE):
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            path.rename(target)
    else:
        path.unlink()


def swap(path: Path, target: Path) -> None:
    """Put the file at `path` in place of `target`, and the one that was there at `path`.

    A file system without hard links keeps no old file: there is nothing at `path` afterwards. Raises FileNotFoundError if there
    is no `target`, PermissionError where the system replaces no file that is open.
    """
    if _renameat2(path, target, EXCHANGE):
        return
    old = path.with_suffix(".old")
    try:
        # Windows refuses that of a file that is open, whose second name could not be removed again
        patiently(lambda: target.rename(target))
        old.hardlink_to(target)
    except FileNotFoundError:
        raise
    except (OSError, NotImplementedError):
        _replace(path, target)
        return
    _replace(path, target)
    old.replace(path)


def _replace(path: Path, target: Path) -> None:
    """Rename over a file, also where that is read-only, which Windows refuses."""
    if not RENAMES_FREELY and not target.stat().st_mode & stat.S_IWUSR:
        target.chmod(stat.S_IRUSR | stat.S_IWUSR)
    patiently(lambda: path.replace(target))


def _renameat2(path: Path, target: Path, flag: int) -> bool:
    """Whether the system can do this; raises OSError if it fails."""
    try:
        import ctypes  # only what overwrites a file needs it
    except ImportError:
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if not IS_WINDOWS else None
    if call is None:
        return False
    if call(CURRENT_FOLDER, os.fsencode(path), CURRENT_FOLDER, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))
