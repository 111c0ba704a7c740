"""Printing: reports to stdout, one line for each error to stderr.

A reader that exits early (`| head -1`) does not stop the work, and nothing is printed to a closed stream. On a terminal lines
are folded between words, and the words that judge a file have a colour.
"""

import argparse
import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ptzip.errors import EditError
from ptzip.io.sources import about, split_member
from ptzip.io.unfinished import UNFINISHED
from ptzip.io.urls import redacted
from ptzip.render import words
from ptzip.render.words import folded, printable

if TYPE_CHECKING:
    from ptzip.render.progress import MovingBar

NO_SYNC = "do not wait until the disk has the output: faster, but a power failure may lose it"
"""What --no-sync does, in --help of every command that writes."""

PORTABLE = "write a file that loads on every system and with every version of Python, numpy and torch, classes included"
RENAME_CLASS = "rename classes that moved; * matches anything: --rename-class 'models.*=yolov5.models.*'"
"""What these flags do, in --help of slim and convert."""

BAR_FROM = 64_000_000
"""Runs over at least this many bytes get a progress bar on a terminal."""

LINES_AT_ONCE = 1000
"""Long views are printed in pieces of this many lines."""

GREEN, YELLOW, RED = "32", "33", "1;31"
COLORS = {"OK": GREEN, "REVIEW": YELLOW, "warning": YELLOW, "MALICIOUS": RED, "UNREADABLE": RED, "ERROR": RED, "error": RED}
"""The words that judge a file, which say the same without colour (the numbers are those of ECMA-48, SGR)."""

JUDGED = re.compile(rf"^(?:ptzip: |  safety      )?({'|'.join(COLORS)})(?=: )", re.MULTILINE)


class _Settings:
    """How this run prints."""

    color = "auto"
    bar: "Bar | None" = None


def set_up(color: str) -> None:
    """Let stdout escape what its encoding cannot represent, as stderr always does, and lists fit a narrow terminal."""
    _Settings.color = color
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")
    if width := _width(sys.stdout):
        words.WIDTH = min(words.WIDTH, width)


def show(text: str) -> None:
    """Print lines of a report; raises OSError where they cannot be written."""
    width = _width(sys.stdout)
    has_codes = "\x1b" in text  # who colours lines makes them fit
    _print(text if has_codes or not width else "\n".join(folded(line, width) for line in text.split("\n")), sys.stdout)


def show_lines(lines: Iterable[str]) -> None:
    """Print lines in pieces; where they end in an error, those before it are printed."""
    piece = list[str]()
    try:
        for line in lines:
            piece.append(line)
            if len(piece) == LINES_AT_ONCE:
                show("\n".join(piece))
                piece.clear()
    finally:
        if piece:
            show("\n".join(piece))


def pour(pieces: Iterable[bytes | memoryview]) -> None:
    """Write bytes to stdout; raises OSError where they cannot be written, except where their reader left early."""
    if sys.stdout is None:
        raise EditError("stdout is closed: name an output with -o")
    out = sys.stdout.buffer
    with _writing_to(sys.stdout):
        for piece in pieces:
            out.write(piece)
        out.flush()


def columns() -> int:
    """The width of the terminal that shows what is printed, through a pager or not; 0 where there is none."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(stream.fileno()).columns
    return 0


def line_width() -> int:
    """The columns of the terminal that stdout is; 0 where it goes elsewhere."""
    return _width(sys.stdout)


def has_colours() -> bool:
    """Whether stdout gets colours: as `--color` says, or where it is a terminal and nobody refused them (https://no-color.org)."""
    return _is_coloured(sys.stdout)


def as_json(data: object) -> str:
    """What `--json` prints."""
    import json  # here, since few ask for it

    return json.dumps(data, indent=2)


def complain(kind: str, text: str) -> None:
    """Print `ptzip: KIND: TEXT`, which stays one line whatever the text holds."""
    with contextlib.suppress(OSError):  # there is nowhere left to report it
        _print(f"ptzip: {kind}: {printable(text)}", sys.stderr)


def renames(words: list[str]) -> dict[str, str]:
    """`OLD=NEW` words as a mapping; the first of several with one OLD counts. Raises ValueError for a word without "="."""
    found = dict[str, str]()
    for word in words:
        old, is_there, new = word.partition("=")
        if not is_there:
            raise ValueError(f"invalid rename {word!r}: expected OLD=NEW")
        found.setdefault(old, new)
    return found


class Bar:
    """One progress bar on a terminal for all files of a run, where they are large; used in a `with` block."""

    def __init__(self, names: Sequence[str], arguments: argparse.Namespace) -> None:
        self._names, self._at, self._done = names, -1, 0
        is_asked = getattr(arguments, "quiet", False) or getattr(arguments, "json", False)  # not all commands have both
        is_silent = is_asked or not _is_terminal(sys.stderr)
        self._sizes = [] if is_silent else list(map(_size, names))
        self._bar: MovingBar | None = None

    def __enter__(self) -> "Bar":
        if sum(self._sizes) >= BAR_FROM:
            from ptzip.render.progress import MovingBar  # here, since rich takes longer to load than most files to be done

            UNFINISHED.append(_show_cursor)
            self._bar, _Settings.bar = MovingBar(sum(self._sizes)), self
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.hide()
            self._bar = _Settings.bar = None
            UNFINISHED.remove(_show_cursor)

    def next(self) -> Callable[[int, int], None] | None:
        """Begin with the next file, so that those before it are done; returns what moves the bar, or None."""
        if self._bar is None:
            return None
        self._done += self._sizes[self._at] if self._at >= 0 else 0
        self._at += 1
        count = f" ({self._at + 1} of {len(self._names)})" if len(self._names) > 1 else ""
        done, size, bar = self._done, self._sizes[min(self._at, len(self._sizes) - 1)], self._bar
        name = self._names[min(self._at, len(self._names) - 1)]
        bar.show(f"{os.path.basename(redacted(name))}{count}", done)
        return lambda part, whole: bar.move(done + (size * part // whole if whole else 0))

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while something else is printed; what is printed of the last file follows it."""
        if self._bar:
            self._bar.hide()
        yield
        if self._bar and self._at + 1 < len(self._names):
            self._bar.show()


def _size(name: str) -> int:
    try:
        return os.stat(split_member(name)[0]).st_size
    except (OSError, ValueError):
        return 0


def _show_cursor() -> None:
    """What is left to do for a bar that is on the terminal when a signal ends the process."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _width(stream: TextIO | None) -> int:
    """The columns of the terminal that a stream goes to; 0 where it goes elsewhere."""
    return columns() if _is_terminal(stream) else 0


def _is_coloured(stream: TextIO | None) -> bool:
    if _Settings.color != "auto":
        return _Settings.color == "always"
    shows_colours = os.environ.get("TERM", "dumb") != "dumb" or "WT_SESSION" in os.environ  # the latter is Windows Terminal
    return _is_terminal(stream) and not os.environ.get("NO_COLOR") and shows_colours


def _painted(text: str) -> str:
    """The text with its words of judgement in colour."""
    return JUDGED.sub(lambda found: found[0].replace(found[1], f"\x1b[{COLORS[found[1]]}m{found[1]}\x1b[0m"), text)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    text = _painted(text) if _is_coloured(stream) else text
    with _writing_to(stream), _Settings.bar.hidden() if _Settings.bar else contextlib.nullcontext():
        print(text, file=stream, flush=True)


@contextlib.contextmanager
def _writing_to(stream: TextIO) -> Iterator[None]:
    """Let an error that names no file say that it is about stdout; a reader that leaves early is none."""
    try:
        yield
    except OSError as error:
        has_left = _left_early(error, stream)
        _discard(stream)
        if has_left:
            return
        if error.filename:
            raise
        raise about("stdout", error) from error


def _left_early(error: OSError, stream: TextIO) -> bool:
    """Whether the error says that the reader of a pipe is gone; that of Windows says so only of pipes."""
    if error.errno == errno.EINVAL:
        with contextlib.suppress(OSError, ValueError):
            return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    return isinstance(error, BrokenPipeError)


def _discard(stream: TextIO) -> None:
    """Drop what a stream still has to write: Python would try again at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
