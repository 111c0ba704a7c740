"""Runs command lines of ptzip: arguments in; an exit code, stdout and stderr out.

`ptzip` runs in this process, `shell` in a new one. The streams have the encoding and error handling of real ones.
"""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ptzip.cli.main import main
from ptzip.json_output import SCHEMA
from tests.no_posix import PYTHON_PATH


class Result(NamedTuple):
    """The exit code and the output of one run."""

    code: int
    out: str
    err: str


def ptzip(*words: str | Path) -> Result:
    """Run `ptzip WORDS…` in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([os.fspath(word) for word in words])
        except SystemExit as stop:  # argparse leaves so
            code = stop.code if isinstance(stop.code, int) else 1
    return Result(code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def shell(*words: str | bytes | Path, **settings: str) -> Result:
    """Run `python -m ptzip WORDS…` in a new process, with `settings` added to its environment."""
    command = [sys.executable, "-m", "ptzip", *words]
    done = subprocess.run(command, capture_output=True, env=environment(settings), timeout=60, check=False)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


TERMINAL = """
import fcntl, os, pty, struct, subprocess, sys, termios
mine, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
child = subprocess.Popen(sys.argv[2:], stdout=theirs, stderr=theirs)
os.close(theirs)
try:
    while piece := os.read(mine, 65536):
        sys.stdout.buffer.write(piece)
except OSError:
    pass
sys.exit(child.wait())
"""


def in_terminal(columns: int, *words: str | Path, **settings: str) -> Result:
    """Run `python -m ptzip WORDS…` in a terminal of that width, which shows stdout and stderr alike."""
    return _in_terminal(columns, [sys.executable, "-m", "ptzip", *words], settings)


def typed_in_terminal(columns: int, line: str, folder: Path, **settings: str) -> Result:
    """Run a line of a shell in a folder, as `in_terminal` does."""
    command = f'ptzip() {{ {shlex.quote(sys.executable)} -m ptzip "$@"; }}\n{line}'
    return _in_terminal(columns, ["sh", "-c", command], settings, folder)


def _in_terminal(
    columns: int, command: Sequence[str | Path], settings: Mapping[str, str], folder: Path | None = None
) -> Result:
    done = subprocess.run(
        [sys.executable, "-c", TERMINAL, str(columns), *command],
        capture_output=True,
        cwd=folder,
        env=environment(settings),
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode().replace("\r\n", "\n"), "")


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which ptzip and these tests can be imported from any folder."""
    return os.environ | {"PYTHONPATH": PYTHON_PATH} | dict(settings or {})


def names(folder: str | Path = ".") -> list[str]:
    """The sorted names of the entries of a folder."""
    return sorted(path.name for path in Path(folder).iterdir())


def one_line(result: Result, start: str) -> str:
    """The only line that a failed run printed, without its prefix `start`."""
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(start)
    assert result.err.endswith("\n")
    assert len(result.err.splitlines()) == 1
    return result.err[len(start) : -1]


def reports(text: str) -> list[dict[str, Any]]:
    """The reports in what `--json` printed, one for each file."""
    printed = json.loads(text)
    assert printed["schema"] == SCHEMA
    found: list[dict[str, Any]] = printed["files"]
    return found
