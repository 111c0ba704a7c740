"""The map of a file as a strip: what each byte is, from the first to the last."""

from collections import Counter
from collections.abc import Sequence

from ptzip.figures.words import BLUE, GREY, PURPLE, RED, TEAL
from ptzip.mapping.parts import UNREFERENCED, FilePart
from ptzip.render.html.page import Section
from ptzip.render.words import size

COLOURS = {"storage": BLUE, "tensor": BLUE, "pickle": PURPLE, "record": TEAL, UNREFERENCED: RED}
"""Kind of a part -> its colour; headers and whatever else is around them are grey."""

MOST_USERS = 3


def map_section(parts: Sequence[FilePart], file_size: int) -> Section:
    """The strip and a table of its parts."""
    totals = Counter[str]()
    for part in parts:
        totals[part.kind] += part.length
    kinds = [kind for kind, _ in totals.most_common()]
    rows = [(part.offset, part.length, kinds.index(part.kind), part.owner, _remark(part)) for part in parts]
    shown = parts[-1].end if parts else 0
    note = f"Only the first {size(shown)} of {size(file_size)} are shown." if shown < file_size else ""
    content = {
        "size": shown,
        "kinds": [(kind, COLOURS.get(kind, GREY), f"{kind}: {size(totals[kind])}") for kind in kinds],
        "parts": rows,
    }
    words = "Left and right go from part to part, + and - zoom, and a click zooms in."
    return Section("File map", "strip", content, f"Every byte of the file, in order. {words} {note}".rstrip())


def _remark(part: FilePart) -> str:
    more = f" and {len(part.users) - MOST_USERS:,} more" if len(part.users) > MOST_USERS else ""
    return "; ".join(filter(None, [", ".join(part.users[:MOST_USERS]) + more, part.remark]))
