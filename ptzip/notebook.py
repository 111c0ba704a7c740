"""What a notebook shows of a checkpoint, a tensor or a report: a small table, without plotly. Everything in it is escaped."""

import html
import itertools
from collections.abc import Mapping

from ptzip.text import cut, size

ROW = '<tr><th style="text-align:left">{}</th><td style="text-align:left">{}</td></tr>'

LONGEST, MOST, MOST_WORDS = 300, 6, 3
"""Longer texts are cut, and of more values, or more words in one, the first so many are shown."""

SIZES = ("size", "bytes", "rest", "saved")
"""How names of bytes end."""


def fact_table(title: str, facts: Mapping[str, object]) -> str:
    """A table with a row for each fact that is not empty; numbers whose name ends as `SIZES` are bytes."""
    rows = [(name, _value(name, found)) for name, found in facts.items()]
    cells = "".join(ROW.format(_escaped(name.replace("_", " ")), _escaped(text)) for name, text in rows if text)
    return f"<table><caption><b>{_escaped(title)}</b></caption>{cells}</table>"


def _value(name: str, found: object) -> str:
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return size(found) if name.endswith(SIZES) else f"{found:,}"
    if isinstance(found, float):
        return f"{found:.4g}"
    if isinstance(found, Mapping):
        return _several([f"{key} {text}" for key, item in found.items() if (text := _value(f"{key} {name}", item))])
    if isinstance(found, list | tuple):
        return _several([_item(item) for item in found])
    return "" if found is None else str(found)


def _item(found: object) -> str:
    """A row of a report by its first values."""
    if not isinstance(found, Mapping):
        return _value("", found)
    return " ".join(itertools.islice(filter(None, itertools.starmap(_value, found.items())), MOST_WORDS))


def _several(words: list[str]) -> str:
    more = f" and {len(words) - MOST:,} more" if len(words) > MOST else ""
    return ", ".join(words[:MOST]) + more


def _escaped(text: str) -> str:
    return html.escape(cut(text, LONGEST))
