"""The page of `ptzip slim`, and the steps on that of `inspect`: what each saves, and what happens to each path."""

from collections.abc import Iterator
from pathlib import Path

from ptzip.figures.waterfall import waterfall
from ptzip.render.html.page import Badge, Section, page
from ptzip.render.html.tables import column, table
from ptzip.render.losses import loss_lines
from ptzip.render.slim import check_lines
from ptzip.render.words import share, size
from ptzip.slimming.report import SlimReport
from ptzip.tensors.rounding import Loss
from ptzip.text import TOP_LEVEL


def slim_page(found: SlimReport) -> str:
    """The page of a slim report. Raises UnsupportedError where plotly is not installed."""
    badges = (Badge(f"{size(found.old_size)} \u2192 {size(found.new_size)}"), Badge(found.recipe))
    return page(Path(found.path).name, badges, _sections(found))


def slim_section(found: SlimReport | str) -> Section:
    """The steps as a waterfall; `found` is a report, or the reason why there is none."""
    title = "What slim would do" if isinstance(found, str) or found.output is None else "What slim did"
    if isinstance(found, str):
        return Section(title, "facts", {"rows": [("not slimmed", found)]})
    if found.already_slim:
        return Section(title, "facts", {"rows": [("already slim", "there is nothing to remove"), *_notes(found)]})
    saved = share(found.old_size - found.new_size, found.old_size)
    words = f"{size(found.old_size)} \u2192 {size(found.new_size)}, {saved} saved (recipe {found.recipe})."
    return Section(title, "figure", waterfall(found.old_size, found.steps, found.new_size) | {"summary": words}, words)


def _sections(found: SlimReport) -> Iterator[Section]:
    facts = [("file", found.path), ("output", found.output or "nothing written"), *_notes(found)]
    facts += [("cast", line) for line in loss_lines(found.loss or Loss(), found.wide, found.dtype, found.on_overflow)]
    facts += [("check", line.removeprefix("check: ")) for line in check_lines(found)]
    yield Section("Summary", "facts", {"rows": facts})
    yield slim_section(found)
    if found.keys:
        columns = [column("key", "name"), column("bytes", "bytes"), column("what happens", "text")]
        yield table("Keys", columns, [(key.name or TOP_LEVEL, key.size, key.what) for key in found.keys])
    if found.changes:
        columns = [column("path", "name"), column("step", "short"), column("what", "text")]
        yield table("Changes", columns, [(one.path or TOP_LEVEL, one.category.value, one.what) for one in found.changes])
    if found.tensors:
        yield _casts(found)


def _notes(found: SlimReport) -> list[tuple[str, str, str]]:
    return [("warning", one, "warn") for one in found.warnings] + [("note", one, "") for one in found.notes]


def _casts(found: SlimReport) -> Section:
    """The tensors that were cast, and what they lost."""
    columns = [
        column("tensor", "name"),
        column("from", "short"),
        column("to", "short"),
        column("numbers", "number"),
        column("overflowed", "number", "Finite numbers beyond the range of the new dtype"),
        column("vanished", "number", "Numbers that became 0"),
    ]
    rows = (
        (", ".join(one.names), one.old_dtype, one.dtype, one.numel, one.loss.overflowed, one.loss.vanished)
        for one in found.tensors
    )
    return table("Casts", columns, rows)
