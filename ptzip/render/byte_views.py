"""The map of a file and the hex dump of a stretch of it as text."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from ptzip.inspecting.byte_views import AtView, ByteView, HexView, MapView
from ptzip.mapping.folding import Fold, folded
from ptzip.mapping.hexdump import ROW, DumpRow
from ptzip.mapping.parts import FilePart
from ptzip.render.words import count, cut, printable, share, some, table, value

if TYPE_CHECKING:
    from ptzip.mapping.fields import Field

WIDEST_KIND = 23
"""Columns for the kind of a part that has an owner; longer ones push the owner."""

MOST_ROWS = 256
"""Rows of a dump that are shown; `--all` shows all."""

STEP, FIELD_NAME, FIELD_VALUE = "  ", 17, 10
"""The indentation of a field in another, and the columns of its name and value."""

COLOURS = (36, 33, 35, 32, 34)
"""Colours of terminals (ECMA-48, SGR), one after the other for the parts of a dump."""


def byte_view_lines(
    name: str, view: ByteView, width: int, everything: bool = False, has_colours: bool = False
) -> Iterator[str]:
    """A view of the bytes of a file in lines that fit a terminal of `width` columns."""
    if isinstance(view, MapView):
        return map_lines(name, view, width, everything)
    if isinstance(view, AtView):
        from ptzip.render.locations import at_lines  # the other views do without

        return at_lines(name, view.locations, width)
    return hex_lines(name, view, width, everything, has_colours)


def map_lines(name: str, view: MapView, width: int, everything: bool = False) -> Iterator[str]:
    """One line for each part, folded unless everything is shown, and how many bytes each kind has."""
    yield f"{printable(name)}: {count(view.size, 'byte')} in {count(len(view.parts), 'part')}"
    digits = len(str(view.size))
    for row in view.parts if everything else folded(view.parts):
        start = f"  {row.offset:>{digits}}  {row.length:>{digits}}  "
        if isinstance(row, Fold):
            yield cut_line(f"{start}{row.times:,} more of {', '.join(row.kinds)}: {row.first} to {row.last}", width)
        else:
            yield from _part(row, start, width)
            yield from (field_line(field, digits, width) for field in view.fields(row))
    if len(view.parts) > 1:
        yield ""
        yield from _totals(view)


def _part(part: FilePart, start: str, width: int) -> Iterator[str]:
    """A part in one line, its remark in more where it is long."""
    line, remark = f"{start}{part_words(part, WIDEST_KIND)}", f"({printable(part.remark)})" if part.remark else ""
    is_short = len(line) + len(remark) + 2 <= width
    yield cut_line(f"{line}  {remark}".rstrip() if is_short else line, width)
    if not is_short:
        yield from _wrapped(remark, " " * len(start), width)


def field_line(field: "Field", digits: int, width: int) -> str:
    """A field below its part: offset, length, name, value and meaning."""
    return cut_line(f"  {field.offset:>{digits}}  {field.length:>{digits}}    {field_words(field)}", width)


def field_words(field: "Field", value_width: int = FIELD_VALUE) -> str:
    """The name of a field, indented where it is in another, with its value and what that means."""
    name = f"{STEP * field.depth}{field.name}"
    shown = "" if field.value is None else value(field.value)
    words = (
        f"{shown:<{value_width}}  {printable(field.meaning)}" if shown and field.meaning else shown or printable(field.meaning)
    )
    return f"{name:<{FIELD_NAME}}  {words}".rstrip()


def part_words(part: FilePart, kind_width: int = 0) -> str:
    """What a part is and whose: "storage  archive/data/0: model.0.weight and 1 more"."""
    owner = ": ".join(words for words in (part.owner, some(part.users)) if words)
    return f"{part.kind:<{kind_width}}  {owner}".rstrip() if owner else part.kind


def cut_line(line: str, width: int) -> str:
    return cut(line, width)


def _wrapped(text: str, indent: str, width: int) -> Iterator[str]:
    """A text in as many lines as it takes, broken at spaces."""
    import textwrap  # few parts have a remark

    indent = indent[: max(width - NARROWEST, 0)]
    yield from textwrap.wrap(text, max(width, NARROWEST), initial_indent=indent, subsequent_indent=f"{indent} ")


def _totals(view: MapView) -> Iterator[str]:
    """The bytes of each kind, most first."""
    sizes, numbers = Counter[str](), Counter[str]()
    for part in view.parts:
        sizes[part.kind] += part.length
        numbers[part.kind] += 1
    rows = [(kind, f"{numbers[kind]:,}", f"{size:,}", share(size, view.size)) for kind, size in sizes.most_common()]
    yield from table([("kind", "parts", "bytes", ""), *rows], right=frozenset({1, 2, 3}))


def hex_lines(name: str, view: HexView, width: int, everything: bool = False, has_colours: bool = False) -> Iterator[str]:
    """The bytes of each part below a line that names it."""
    yield f"{printable(name)}: bytes {view.start:,} to {view.stop:,}"
    shown = 0
    for number, (part, rows) in enumerate(groupby(view.rows, key=lambda row: row.part)):
        yield cut_line(f"  {part.offset}: {part_words(part)}, {count(part.length, 'byte')}", width)
        colour = COLOURS[number % len(COLOURS)] if has_colours else 0
        for row in rows:
            if not everything and shown >= MOST_ROWS:
                yield f"  ... {count(view.stop - row.offset, 'more byte')} (--all shows them)"
                return
            shown += 1
            yield from structure_lines(row, colour, width) if row.part.structure else [dump_line(row, colour, width)]


def extract_line(name: str, what: str, size: int, output: str) -> str:
    """What was written."""
    return f"{printable(name)}: {count(size, 'byte')} of {printable(what)} -> {printable(output)}"


def dump_line(row: DumpRow, colour: int, width: int) -> str:
    """The offset of a row in hexadecimal, its bytes, and those that are printable as text, where the width suffices."""
    skipped = row.offset % ROW
    cells = ["  "] * skipped + [f"{byte:02x}" for byte in row.data]
    shown = f"{' '.join(cells[:8])}  {' '.join(cells[8:])}"
    text = " " * skipped + as_characters(row.data)
    if width < FULL:
        return f"  {row.offset - skipped:08x}  {_coloured(shown, colour)}".rstrip()
    return f"  {row.offset - skipped:08x}  {_coloured(f'{shown:<{3 * ROW}}', colour)}  {_coloured(text, colour)}".rstrip()


def structure_lines(row: DumpRow, colour: int, width: int) -> Iterator[str]:
    """A row of a structure: its offset, its bytes, and the field that begins there, whose meaning may take further lines."""
    start, shown = f"  {row.offset:08x}  ", f"{row.data.hex(' '):<{3 * field_row(width) - 1}}"
    room, rest = max(width - len(start) - len(shown) - 2, 20), ""
    words = ""
    if row.field is not None:
        words = field_words(row.field)
        words = words if len(words) <= room else field_words(row.field, 0)
        if len(words) > room and row.field.meaning:
            words, rest = field_words(row.field._replace(meaning="")), row.field.meaning
    yield f"{start}{_coloured(shown, colour)}  {cut(words, room)}".rstrip()
    if rest:
        yield from _wrapped(printable(rest), " " * (width - room + FIELD_NAME + 2), width)


def field_row(width: int) -> int:
    """The bytes of a field in one row."""
    return ROW if width >= WIDE else ROW // 2


def as_characters(data: bytes) -> str:
    """Bytes as characters, those that are not printable as dots."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


NARROWEST = 20
"""Columns that a text in several lines has at least."""

FULL, WIDE = 78, 110
"""Columns of a row with its text, and those from which on a field has 16 bytes of each row."""


def _coloured(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text
