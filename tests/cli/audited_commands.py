"""Runs ptzip on files in a process that exits as soon as code of a file runs: `python -m tests.cli.audited_commands OUT FILE…`.

An audit hook sees every import, compilation, process and file opened for writing, whatever triggered it. One line of JSON is
printed for each file, view and recipe.
"""

import base64  # noqa: F401 (see MODULES)
import bz2
import contextlib
import gzip
import importlib
import io
import json
import logging  # noqa: F401 (as above)
import lzma
import os
import pkgutil
import sys
import tarfile  # noqa: F401 (as above)
import tempfile
import zlib
from pathlib import Path
from typing import Any

import zstandard

import ptzip
from ptzip.cli.main import main
from ptzip.pickling.nodes import Atom, walk
from ptzip.recipes import NAMES
from tests.small_checkpoints import module_records, save

MODULES = [importlib.import_module(found.name) for found in pkgutil.walk_packages(ptzip.__path__, "ptzip.")]
"""All of ptzip; some modules would otherwise be imported with the first file that needs them, as `base64` would."""

CAUGHT = 99
"""The exit code of a process that the hook stopped."""

FORBIDDEN = (
    *("import", "exec", "compile", "code.__new__", "marshal.loads", "pickle.find_class", "ctypes.dlopen"),
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen"),
    *("socket.__new__", "socket.connect", "urllib.Request", "webbrowser.open", "os.putenv", "os.kill", "shutil.rmtree"),
)

CHANGING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.symlink", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(folder: str) -> None:
    """From now on, exit when code is loaded or run, or when something outside `folder` is written."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN or (_writes(event, arguments) and not _place(arguments[0]).startswith(folder)):
            os.write(2, f"{event} {arguments!r}\n".encode())
            os._exit(CAUGHT)

    sys.addaudithook(hook)


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    return event in CHANGING or (event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & WRITING))


def _place(argument: Any) -> str:
    """The path of an event, which may be given as a file descriptor."""
    return str(Path(f"/proc/self/fd/{argument}").readlink()) if isinstance(argument, int) else os.fspath(argument)


def warm_up() -> None:
    """Let Python import all that ptzip needs, before the hook forbids it."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder, "last.pt"), module_records())
        main(["slim", "-q", str(path)])
        main(["slim", "-q", "--json", str(path), "-n"])
        plain = path.read_bytes()
        for data in (plain, gzip.compress(plain), zstandard.compress(plain), bytes(257) + b"ustar" + bytes(762)):
            path.write_bytes(data)
            look_at(str(path))
            for view in VIEWS:
                inspected(str(path), view)
        for packed in (bz2.compress(plain), lzma.compress(plain), zlib.compress(plain)):
            path.write_bytes(packed)
            scanned(str(path))
        path.write_bytes(plain)
        scanned(str(path))
        with contextlib.suppress(ValueError):
            outcome(str(path), "no such recipe", Path(folder, "out.pt"))
        print(json.dumps([1.5, "\n"]), flush=True)
    b"text".decode("raw-unicode-escape")  # the codec of opcode UNICODE, which Python imports at its first use


def look_at(path: str) -> str:
    """Open a file and read its whole tree; the error, or "opened" with counts."""
    try:
        with ptzip.open(path) as checkpoint:
            values = [node.value for node in walk(checkpoint.root) if isinstance(node, Atom)]
            return f"opened: {len(values)} values, {len(checkpoint.storages)} storages, {len(checkpoint.pickle.calls)} calls"
    except ptzip.PtzipError as error:
        return f"{type(error).__name__}: {error}"


VIEWS = ("--tensors", "--tree", "--records", "--opcodes", "--json")


def inspected(path: str, *flags: str) -> str:
    """The exit code of `ptzip inspect`; its output is discarded."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return f"exit code {main(['inspect', path, *flags])}"


def scanned(path: str) -> str:
    """The verdict of a scan, and the exit code of the command."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return f"exit code {main(['scan', path])} for {ptzip.scan(path).verdict.value}"


def outcome(path: str, recipe: str, target: Path) -> str:
    """The result of slimming a file: "written", "slim already" or the error."""
    try:
        report = ptzip.slim(path, target, recipe=recipe)
    except ptzip.PtzipError as error:
        return f"{type(error).__name__}: {error}"
    return "written" if report.output else "slim already"


if __name__ == "__main__":
    warm_up()
    out, *files = sys.argv[1:]
    tempfile.tempdir = out  # where compressed files are unpacked
    watch(out)
    for number, file in enumerate(files):
        print(json.dumps([file, "open", look_at(file)]))
        print(json.dumps([file, "scan", scanned(file)]))
        print(json.dumps([file, "inspect", inspected(file)]))
        for view in VIEWS:
            print(json.dumps([file, view, inspected(file, view)]))
        for name in NAMES:
            print(json.dumps([file, name, outcome(file, name, Path(out, f"{number}.{name}.pt"))]))
