"""What all figures have in common: text of a file as a label, and the colours."""

from typing import Any

Spec = dict[str, Any]
"""A figure: `data`, a list of traces, and `layout`."""

LONGEST = 80
"""Labels are cut to this many characters."""

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"})

BLUE, TEAL, ORANGE, RED, PURPLE, GREEN, GREY = "#4c78a8", "#3a9a95", "#d9822b", "#d1495b", "#9a6fb0", "#4f9d5d", "#8a8f98"


def label(text: str) -> str:
    """Text as plotly shows it literally: it reads `<b>`, `<a href>` and entities in labels as markup, and `$...$` as TeX."""
    shown = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return shown.translate(ENTITIES)
