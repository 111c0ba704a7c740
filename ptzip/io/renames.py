"""Two renames that lose no file, whatever other programs do at the same moment.

Both are single system calls of Linux (renameat2(2)); elsewhere, and on file systems that lack them, hard links come close.
"""

import errno
import os
from pathlib import Path

CURRENT_FOLDER = -100
"""`AT_FDCWD` of `linux/fcntl.h`."""

NO_REPLACE, EXCHANGE = 1, 2
"""`RENAME_NOREPLACE` and `RENAME_EXCHANGE` of `linux/fs.h`."""

NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def rename_new(path: Path, target: Path) -> None:
    """Rename to a name that is free; raises FileExistsError if it is not, also if it is taken at the last moment."""
    try:
        target.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as FAT
        if not _renameat2(path, target, NO_REPLACE):
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            path.rename(target)
    else:
        path.unlink()


def swap(path: Path, target: Path) -> None:
    """Put the file at `path` in place of `target`, and the one that was there at `path`.

    A file system without hard links keeps no old file: there is nothing at `path` afterwards. Raises FileNotFoundError if there
    is no `target`.
    """
    if _renameat2(path, target, EXCHANGE):
        return
    old = path.with_suffix(".old")
    try:
        old.hardlink_to(target)
    except FileNotFoundError:
        raise
    except OSError:
        path.replace(target)
    else:
        path.replace(target)
        old.replace(path)


def _renameat2(path: Path, target: Path, flag: int) -> bool:
    """Whether the system can do this; raises OSError if it fails."""
    try:
        import ctypes  # only what overwrites a file needs it
    except ImportError:
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return False
    if call(CURRENT_FOLDER, os.fsencode(path), CURRENT_FOLDER, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))
