"""A page: its template with the sections as JSON, the style, the script, and plotly in compressed form."""

import base64
import functools
import gzip
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template
from typing import Any, Literal, NamedTuple

import ptzip
from ptzip.figures.plotly_library import script as plotly_script
from ptzip.render.words import cut

LONGEST = 1000
"""Longer texts are cut."""

Kind = Literal["facts", "figure", "table", "tree", "strip"]
"""How page.js shows the content of a section."""


class Section(NamedTuple):
    """A part of a page: `note` is a sentence above its content."""

    title: str
    kind: Kind
    content: Mapping[str, Any]
    note: str = ""


class Badge(NamedTuple):
    """A few words beside the title; `level` is "good", "warn", "bad" or "" for how they look."""

    text: str
    level: str = ""


def page(title: str, badges: Iterable[Badge], sections: Iterable[Section]) -> str:
    """The page. Raises UnsupportedError where plotly is not installed."""
    plotly, ours = _plotly(), _resource("page.js")
    report = {
        "title": title,
        "badges": [badge._asdict() for badge in badges],
        "sections": [section._asdict() for section in sections],
    }
    return Template(_resource("page.html")).substitute(
        title=html.escape(cut(title, LONGEST)),
        version=ptzip.__version__,
        scripts=f"{_hash(ours)} {plotly.hash}",
        style=_resource("page.css"),
        report=as_data(report),
        plotly=plotly.packed,
        script=ours,
    )


class _Library(NamedTuple):
    """plotly.js as a page has it: compressed, in base64; and its hash."""

    packed: str
    hash: str


@functools.cache
def _plotly() -> _Library:
    found = plotly_script()
    return _Library(base64.b64encode(gzip.compress(found.encode(), 9, mtime=0)).decode(), _hash(found))


def as_data(value: object) -> str:
    """JSON that is safe inside a `script` element, where only `<` could end or nest one."""
    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: object) -> object:
    """A value as JSON has it, its texts fit to print."""
    if isinstance(value, str):
        return cut(value, LONGEST)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _hash(script: str) -> str:
    """What the page's policy names a script by (Content Security Policy Level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _resource(name: str) -> str:
    return files("ptzip.render.html").joinpath(name).read_text("utf-8")
