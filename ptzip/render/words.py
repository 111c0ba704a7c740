"""Counts, sizes, values and columns as text.

Anything that comes out of a file passes through here, so that it cannot break a line, steer a terminal or fill a screen. Sizes
are decimal: 1 MB is 1,000,000 bytes, as file managers and model pages give them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from ptzip.text import LONGEST as LONGEST
from ptzip.text import cut as cut
from ptzip.text import printable as printable
from ptzip.text import size as size

if TYPE_CHECKING:
    from ptzip.inspecting.torch_versions import Versions
    from ptzip.tensors.torch_names import Release

WIDTH = 100
"""Lists of words are broken into lines of about this many characters; the command line sets less on a narrow terminal."""


def value(found: object, longest: int = LONGEST) -> str:
    """A number or a text as Python spells it."""
    if isinstance(found, str | bytes | bytearray) and len(found) > longest:
        return f"{cut(repr(found[:longest]), longest)} ({len(found):,} {'characters' if isinstance(found, str) else 'bytes'})"
    if isinstance(found, int) and found.bit_length() > 1000:
        return f"a number of {found.bit_length():,} bits"
    if isinstance(found, list | tuple):
        return cut(_items(found, longest), longest)
    return cut(repr(found), longest)


def _items(found: list[object] | tuple[object, ...], longest: int) -> str:
    inner = ", ".join(value(item, longest) for item in found[:longest])
    if isinstance(found, list):
        return f"[{inner}]"
    return f"({inner},)" if len(found) == 1 else f"({inner})"


def shape(sizes: Iterable[int]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.1f} %" if whole else ""


def count(number: int, word: str) -> str:
    """A number of things: "1 tensor", "2,000 tensors"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def some(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are: "weight and 2 more"."""
    first, *more = [*names] or [""]
    return f"{first} and {len(more):,} more" if more else first


def releases(found: "Versions") -> str:
    """A range of releases in words; "" where nothing is known."""
    if found.low is None and found.high is None:
        return ""
    if found.low is not None and found.low == found.high:
        words = f"torch {_release(found.low)}"
    elif found.high is None:
        words = f"torch {_release(found.low)} or later"
    else:
        words = f"torch {_release(found.low)} to {_release(found.high)}" if found.low else f"torch up to {_release(found.high)}"
    if not found.otherwise:
        return words
    return f"{words}, with {found.otherwise}" if found.high is None else f"{words} (or later, with {found.otherwise})"


def _release(found: "Release | None") -> str:
    return ".".join(map(str, found or ()))


def table(rows: Sequence[tuple[str, ...]], right: frozenset[int] = frozenset(), indent: str = "  ") -> Iterator[str]:
    """Rows in columns; those whose numbers are in `right` are aligned there."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield (indent + "  ".join(cells)).rstrip()


UNLIMITED = 1 << 30
"""The width of a table that goes to a file or another program, where names stay whole."""

LEAST_NAME = 24
"""Names are not cut to fewer characters than this."""


def fitted(rows: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Rows whose names, the first cells, are cut where their columns would take more than `width`."""
    others = (max(map(len, column)) + 2 for column in zip_longest(*(row[1:] for row in rows), fillvalue=""))
    longest = max(width - sum(others), LEAST_NAME)
    return [(middle_cut(row[0], longest), *row[1:]) for row in rows]


def middle_cut(name: str, longest: int) -> str:
    """A name without its middle: how it begins and ends tells names apart."""
    half = (longest - 3) // 2
    return name if len(name) <= longest else f"{name[:half].rstrip('.')}...{name[-half:].lstrip('.')}"


def filled(words: Iterable[str], first: str, width: int = 0) -> Iterator[str]:
    """Words with commas between them, in lines of at most `width` (or `WIDTH`) that go on below where the first began."""
    line, is_empty, words = first, True, list(words)
    if not words:
        return
    for word in words:
        if not is_empty and len(line) + len(f", {word},") > (width or WIDTH):
            yield line + ","
            line, is_empty = " " * len(first), True
        line += word if is_empty else f", {word}"
        is_empty = False
    yield line.rstrip()


BAR, FULL, PARTS = 20, "\u2588", "\u258f\u258e\u258d\u258c\u258b\u258a\u2589"
"""The width of a bar, the character of a full part of it, and those of one to seven eighths."""


def bar(part: float, width: int = BAR) -> str:
    """A part of a whole, from 0 to 1, as a bar in eighths of a character."""
    eighths = round(part * width * 8)
    return FULL * (eighths // 8) + (PARTS[eighths % 8 - 1] if eighths % 8 else "")


def folded(line: str, width: int) -> str:
    """A line that is too long for a terminal, broken between words; the rest is below the last column that is wide enough."""
    if len(line) <= width:
        return line
    starts = [found.end() for found in re.finditer(r"^ +|  +", line)]
    indent = next((at for at in reversed(starts) if at + max(map(len, line[at:].split()), default=0) <= width), 2)
    shown, rest = list[str](), line
    while len(rest) > width:
        at = rest.rfind(" ", indent + 1, width + 1)
        at = at if at > 0 else rest.find(" ", width)
        if at < 0:
            break
        shown.append(rest[:at].rstrip())
        rest = " " * indent + rest[at:].lstrip()
    return "\n".join([*shown, rest])
