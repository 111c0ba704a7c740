"""Tables that a page sorts and searches."""

from collections.abc import Iterable, Sequence
from typing import Literal

from ptzip.render.html.page import Section

Cell = Literal["name", "text", "short", "number", "bytes", "share", "percent", "histogram"]
"""What a column holds: a dotted path, text that wraps, text that does not, a number, bytes, a part of a whole with a bar behind
it and without, and counts of a histogram."""


def column(name: str, cell: Cell, meaning: str = "") -> dict[str, str]:
    """A column; `meaning` explains its name."""
    return {"name": name, "type": cell, "meaning": meaning}


def table(
    title: str, columns: Sequence[dict[str, str]], rows: Iterable[Sequence[object]], note: str = "", search: bool = True
) -> Section:
    """A table as a section."""
    return Section(title, "table", {"columns": columns, "rows": list(rows), "search": search}, note)
