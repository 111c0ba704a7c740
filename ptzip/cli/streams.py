"""`-` for stdin and stdout. Files are read at any offset and written atomically, so both go through temporary files."""

import contextlib
import functools
import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO

from ptzip.cli.printing import complain, pour
from ptzip.errors import EditError
from ptzip.io.sources import CHUNK, MemberOf
from ptzip.io.unfinished import temporary_folder
from ptzip.io.urls import MEMBER_MARK, is_url

STANDARD = "-"


class _Input:
    """What stdin held, once it was read."""

    file: BinaryIO | None = None


def is_stdin(name: str) -> bool:
    """Whether a name on the command line is stdin, or something in it: `-` or `-::NAME`."""
    return name == STANDARD or name.startswith(f"{STANDARD}{MEMBER_MARK}")


def source(name: str) -> str | BinaryIO | MemberOf:
    """What to open for a name on the command line: a path, a URL, or stdin as a file called "-". Raises EditError if that is
    closed.
    """
    if is_url(name):
        _print_messages()
    if not is_stdin(name):
        return name
    if _Input.file is None:
        _Input.file = _standard_input()
    _, _, member = name.partition(MEMBER_MARK)
    return MemberOf(_Input.file, member) if member else _Input.file


def _print_messages() -> None:
    """Print what readers of URLs log, as that they download a file."""
    import logging  # here, since most files are local

    class Printed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complain("note", record.getMessage())

    logger = logging.getLogger("ptzip.remote")
    if not logger.handlers:
        logger.addHandler(Printed())
        logger.propagate = False


def _standard_input() -> BinaryIO:
    """Stdin as a file that can be read at any offset: itself where it is redirected from one, else a copy."""
    import io  # here and below, since few runs read stdin
    import shutil
    import tempfile

    if sys.stdin is None:
        raise EditError("stdin is closed: name a file")
    stdin = sys.stdin.buffer
    with contextlib.suppress(OSError, ValueError):  # a stream that another program put there may have no descriptor
        if stat.S_ISREG(os.fstat(stdin.fileno()).st_mode):
            found = io.FileIO(os.dup(stdin.fileno()))
            found.name = STANDARD
            return found
    copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it is open until the process ends)
    shutil.copyfileobj(stdin, copy, CHUNK)
    copy.name = STANDARD
    return copy


@contextlib.contextmanager
def output_path(name: str | None, suffix: str = "") -> Iterator[str | None]:
    """The path to write to: the given one, or for "-" a temporary file that goes to stdout at the end, reports to stderr.

    Raises EditError where stdout is a terminal or closed.
    """
    if name != STANDARD:
        yield name
        return
    stdout = sys.stdout
    if stdout is None:
        raise EditError("stdout is closed: name an output with -o")
    if stdout.isatty():
        raise EditError("stdout is a terminal: redirect it, or name an output with -o")
    with temporary_folder() as folder:
        path = os.path.join(folder, f"output{suffix}")
        with contextlib.redirect_stdout(sys.stderr):
            yield path
        if os.path.exists(path):
            with open(path, "rb") as written:
                pour(iter(functools.partial(written.read, CHUNK), b""))
