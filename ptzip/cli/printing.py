"""Printing: reports to stdout, one line for each error to stderr.

A reader that exits early (`| head -1`) does not stop the work, and nothing is printed to a closed stream.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from ptzip.io.sources import split_member
from ptzip.io.unfinished import UNFINISHED
from ptzip.render.words import printable

NO_SYNC = "do not wait until the disk has the output: faster, but a power failure may lose it"
"""What --no-sync does, in --help of every command that writes."""

BAR_FROM = 64_000_000
"""Files of at least this many bytes get a progress bar on a terminal."""


def show(text: str) -> None:
    """Print lines of a report; raises OSError where they cannot be written."""
    _print(text, sys.stdout)


def pour(pieces: Iterable[bytes | memoryview]) -> None:
    """Write bytes to stdout; raises OSError where they cannot be written, except where their reader left early."""
    out = sys.stdout.buffer
    try:
        for piece in pieces:
            out.write(piece)
        out.flush()
    except BrokenPipeError:
        _discard(sys.stdout)


def columns() -> int:
    """The width of the terminal that shows what is printed, through a pager or not; 0 where there is none."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(stream.fileno()).columns
    return 0


def has_colours() -> bool:
    """Whether stdout is a terminal with colours, and the user did not refuse them (https://no-color.org)."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_json(data: object) -> str:
    """What `--json` prints."""
    import json  # here, since few ask for it

    return json.dumps(data, indent=2)


def complain(kind: str, text: str) -> None:
    """Print `ptzip: KIND: TEXT`, which stays one line whatever the text holds."""
    with contextlib.suppress(OSError):  # there is nowhere left to report it
        _print(f"ptzip: {kind}: {printable(text)}", sys.stderr)


def message(error: Exception, name: str) -> str:
    """One line for people; what the system says is followed by the file it is about, where that is not `name`."""
    if isinstance(error, FileExistsError):
        return f"{error.filename} already exists (use -f to overwrite)"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    is_other = error.filename is not None and os.path.normpath(error.filename) != os.path.normpath(name)
    return error.strerror.lower() + (f": {error.filename}" if is_other else "")


def renames(words: list[str]) -> dict[str, str]:
    """`OLD=NEW` words as a mapping; the first of several with one OLD counts. Raises ValueError for a word without "="."""
    found = dict[str, str]()
    for word in words:
        old, is_there, new = word.partition("=")
        if not is_there:
            raise ValueError(f"invalid rename {word!r}: expected OLD=NEW")
        found.setdefault(old, new)
    return found


@contextlib.contextmanager
def progress_bar(name: str, is_silent: bool, size: int | None = None) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal while a large file is worked on, or files of `size` bytes; yields what moves it, or None."""
    if is_silent or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    if (os.stat(split_member(name)[0]).st_size if size is None else size) < BAR_FROM:  # noqa: PTH116 (pathlib takes a twentieth of most commands)
        yield None
        return
    from ptzip.render.progress import bar  # here, since rich takes longer to load than most files to be done

    UNFINISHED.append(_show_cursor)
    with bar(name) as advance:
        yield advance
    UNFINISHED.remove(_show_cursor)


def _show_cursor() -> None:
    """What is left to do for a bar that is on the terminal when a signal ends the process."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        _discard(stream)
        if not isinstance(error, BrokenPipeError):
            raise


def _discard(stream: TextIO) -> None:
    """Drop what a stream still has to write: Python would try again at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def spell_everything() -> None:
    """Let stdout escape what its encoding cannot represent, as stderr always does."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")
