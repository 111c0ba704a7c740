"""A system without POSIX, as ptzip sees it: `PTZIP_NO_POSIX=1 python -m pytest` runs the tests on it, child processes included.

Only the modules of ptzip are on that system; pytest, numpy and the standard library stay where they are. What it takes away:

| what | there |
|---|---|
| `os`, `signal`, `mmap`, `time`, `sys`: what is in `absent.ABSENT` | AttributeError, as Python has no such names on Windows |
| `os.open`, `stat`, `mkdir` and so on with a `dir_fd` | NotImplementedError |
| the modules in `absent.MODULES` | ModuleNotFoundError |
| renameat2(2) | `os.name` is "nt", where nobody looks for it |
| `os.rename` to a name that is taken | FileExistsError |
| removing, renaming or replacing a file that this process has open or mapped | PermissionError (WinError 32 or 5) |
| replacing or removing a read-only file | PermissionError (WinError 5) |
| opening a folder, so that nobody can fsync it | PermissionError |
| `/dev/fd`, `/proc`, `/sys` | FileNotFoundError; `os.devnull` is "nul" |
| opening a file without `O_BINARY` | AssertionError, since Windows would change its line ends |
| fork | processes are spawned |

SIGBREAK is there, with the number that it has on Windows.

Paths keep their slashes: what differs between `posixpath` and `ntpath` has tests of its own (`test_windows_paths.py`).
"""

import builtins
import enum
import errno
import functools
import importlib
import os
import stat
import sys
import types
from collections.abc import Callable
from typing import Any

from tests.no_posix.absent import ABSENT, MODULES, is_absent

HERE = os.path.dirname(os.path.realpath(__file__))
SITE, ROOT = os.path.join(HERE, "site"), os.path.dirname(os.path.dirname(HERE))
IS_ON = bool(os.environ.get("PTZIP_NO_POSIX"))

PYTHON_PATH = os.pathsep.join((SITE, ROOT) if IS_ON else (ROOT,))
"""The `PYTHONPATH` of child processes; `sitecustomize` is what Python runs first."""

O_BINARY = 0x8000

PLACES = ("/dev", "/proc", "/sys")

ACCESS_DENIED, SHARING_VIOLATION = 5, 32


class Signals(enum.IntEnum):
    """The signals of Windows; SIGBREAK has a number that Linux knows by another name."""

    SIGINT = 2
    SIGILL = 4
    SIGABRT = 6
    SIGFPE = 8
    SIGSEGV = 11
    SIGTERM = 15
    SIGBREAK = 21


class WindowsError(PermissionError):
    """An error of Windows with its number, which Linux has no place for."""

    def __init__(self, number: int, text: str, path: object) -> None:
        super().__init__(errno.EACCES, text, path)
        self.winerror = number


class Replaced(types.ModuleType):
    """A module with other attributes than the one that it stands for, and without those that are absent."""

    def __init__(self, real: types.ModuleType, others: dict[str, object]) -> None:
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(others)
        self._real = real

    def __getattr__(self, name: str) -> Any:
        if is_absent(self.__name__, name):
            raise AttributeError(f"module {self._real.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._real, name)


def install() -> None:
    """Begin with it in this process. It needs to come before ptzip is imported, and cannot be undone."""
    if getattr(builtins.__import__, "is_replaced", False):
        return
    assert "ptzip.io" not in sys.modules
    real_import, own = builtins.__import__, {"os": _os(), "signal": _signal()}
    replaced = {name: Replaced(importlib.import_module(name), own.get(name, {})) for name in ABSENT}

    def imported(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if not _is_of_ptzip(globals or {}):
            return real_import(name, globals, locals, fromlist, level)
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "multiprocessing":
            importlib.import_module(name).set_start_method("spawn", force=True)
        return replaced.get(name) or real_import(name, globals, locals, fromlist, level)

    imported.is_replaced = True  # type: ignore[attr-defined]
    builtins.__import__ = imported
    sys.addaudithook(_refuse)


def _is_of_ptzip(space: dict[str, Any]) -> bool:
    return str(space.get("__package__")).partition(".")[0] == "ptzip"


def _os() -> dict[str, object]:
    """What is different in `os`."""

    def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "nul":
            return os.open(os.devnull, flags)
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        assert flags & O_BINARY, f"{path} is opened as text"
        return os.open(path, flags & ~O_BINARY, mode)

    def renamed(old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", old, None, new)
        os.rename(old, new)

    def without_folders(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*arguments: Any, **named: Any) -> Any:
            if any(folder is not None for name, folder in named.items() if name.endswith("dir_fd")):
                raise NotImplementedError("dir_fd unavailable on this platform")
            return call(*arguments, **named)

        return run

    def isdir(path: Any) -> bool:
        return not str(path).startswith(PLACES) and os.path.isdir(path)

    names = ("stat", "lstat", "unlink", "remove", "rmdir", "mkdir", "replace", "link", "symlink")
    calls: dict[str, Callable[..., Any]] = {**{name: getattr(os, name) for name in names}, "open": opened, "rename": renamed}
    others = {name: without_folders(call) for name, call in calls.items()}
    path = Replaced(os.path, {"isdir": isdir})
    values = {"name": "nt", "O_BINARY": O_BINARY, "devnull": "nul", "path": path, "supports_dir_fd": set[object]()}
    return others | values


def _signal() -> dict[str, object]:
    """What is different in `signal`."""
    return {"Signals": Signals, "valid_signals": lambda: set(Signals)} | {one.name: one for one in Signals}


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: raise what Windows does where ptzip changes a file that is open, or opens what is not there."""
    if event == "open":
        if isinstance(arguments[0], str) and arguments[0].startswith(PLACES) and _is_by_ptzip():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", arguments[0])
    elif event not in ("os.rename", "os.remove") or not _is_by_ptzip():
        return
    elif event == "os.remove":
        _refuse_change(arguments[0], arguments[1], SHARING_VIOLATION, arguments[0])
    else:
        _refuse_use(arguments[0], arguments[2], SHARING_VIOLATION, arguments[0])
        if arguments[1] != arguments[0]:
            _refuse_change(arguments[1], arguments[3], ACCESS_DENIED, arguments[0])


def _is_by_ptzip() -> bool:
    """Whether ptzip is what does this, itself or through a library, and not this module for it."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and not _is_of_ptzip(frame.f_globals):
        frame = None if frame.f_globals is globals() else frame.f_back
    return frame is not None


def _refuse_change(path: Any, folder: int, number: int, named: Any) -> None:
    """Raise PermissionError where a file is open or read-only; the error is about the file that is `named`."""
    _refuse_use(path, folder, number, named)
    status = _status(path, folder)
    if status and stat.S_ISREG(status.st_mode) and not status.st_mode & stat.S_IWUSR:
        raise WindowsError(ACCESS_DENIED, "Access is denied", named)


def _refuse_use(path: Any, folder: int, number: int, named: Any) -> None:
    """Raise PermissionError where this process has a file open, or mapped."""
    status = _status(path, folder)
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    opened = [_status(int(name), -1) for name in os.listdir("/proc/self/fd")]
    with open("/proc/self/maps", errors="replace") as text:
        maps = text.read().splitlines()
    is_mapped = any(line.split(maxsplit=5)[4:] == [str(status.st_ino), os.path.realpath(path)] for line in maps)
    if is_mapped or any(one and os.path.samestat(one, status) for one in opened):
        raise WindowsError(number, "The process cannot access the file because it is being used by another process", named)


def _status(file: Any, folder: int) -> os.stat_result | None:
    try:
        return os.stat(file) if isinstance(file, int) else os.lstat(file, dir_fd=None if folder == -1 else folder)
    except OSError:
        return None
