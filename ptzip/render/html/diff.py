"""The page of `ptzip diff`: where weights moved, and everything that differs."""

from collections.abc import Iterator
from pathlib import Path

from ptzip.diffing.report import DiffReport, TensorDiff
from ptzip.figures.heat_map import MOST_MODULES, heat_map
from ptzip.render.diff import change, summary
from ptzip.render.html.page import Badge, Section, page
from ptzip.render.html.tables import column, table
from ptzip.render.words import count, shape
from ptzip.text import TOP_LEVEL


def diff_page(found: DiffReport) -> str:
    """The page of a comparison. Raises UnsupportedError where plotly is not installed."""
    badge = Badge("the same", "good") if found.ok else Badge("different" if found.differs else "not compared", "warn")
    return page(f"{Path(found.a).name} and {Path(found.b).name}", [badge], _sections(found))


def _sections(found: DiffReport) -> Iterator[Section]:
    facts = [("A", found.a), ("B", found.b), ("result", summary(found)), ("equal", count(found.equal, "tensor"))]
    facts += [("tolerance", f"rtol {found.rtol:g}, atol {found.atol:g}")] if found.rtol or found.atol else []
    yield Section("Summary", "facts", {"rows": [*facts, *(("note", note) for note in found.notes)]})
    distances = found.distances
    if any(distances.values()):
        words = "How far each tensor moved from A to B, as a part of its norm in A."
        words += f" The {MOST_MODULES:,} modules that moved most." if len(distances) > MOST_MODULES else ""
        yield Section("Where weights moved", "figure", heat_map(distances) | {"summary": summary(found)}, words)
    if found.tensors:
        yield _tensors(found)
    lone = [*(("A", one) for one in found.lone_a), *(("B", one) for one in found.lone_b)]
    if lone:
        columns = [column("name", "name"), column("in", "short"), column("dtype", "short"), column("shape", "short")]
        rows = [(one.name, file, one.form.dtype, shape(one.form.shape), one.form.size) for file, one in lone]
        yield table("Tensors in one file", [*columns, column("bytes", "bytes")], rows)
    if found.moved:
        columns = [column("in A", "name"), column("in B", "name")]
        rows_moved = [(one.old_name, one.name) for one in found.moved]
        yield table("Moved", columns, rows_moved, "Recognised by shape, dtype, and length and CRC of the storage.")
    yield from _values(found)


def _tensors(found: DiffReport) -> Section:
    columns = [
        column("name", "name"),
        column("dtype", "short"),
        column("shape", "short"),
        column("moved", "number", "L2 norm of B - A as a part of that of A"),
        column("absolute", "number", "Largest |a - b|"),
        column("relative", "number", "Largest |a - b| / |a|"),
        column("cosine", "number", "Cosine similarity"),
        column("differ", "share", "Share of the numbers that differ"),
        column("remark", "text"),
    ]
    return table("Tensors that differ", columns, map(_row, found.tensors))


def _row(pair: TensorDiff) -> list[object]:
    name = pair.name if pair.name == pair.old_name else f"{pair.old_name} \u2192 {pair.name}"
    form = [change(pair.old.dtype, pair.new.dtype), change(shape(pair.old.shape), shape(pair.new.shape))]
    words = [f"{fact.what} {fact.old} -> {fact.new}" for fact in pair.facts]
    words += [pair.problem] if pair.problem else []
    numbers = pair.numbers
    if numbers is None:
        return [name or TOP_LEVEL, *form, None, None, None, None, 0, ", ".join(words)]
    words += [f"{numbers.lone:,} finite in only one file"] if numbers.lone else []
    values = [numbers.distance, numbers.absolute, numbers.relative, numbers.cosine, numbers.differing / max(numbers.numel, 1)]
    return [name or TOP_LEVEL, *form, *values, ", ".join(words)]


def _values(found: DiffReport) -> Iterator[Section]:
    """What differs beside tensors."""
    rows = [(one.name or TOP_LEVEL, one.old, one.new) for one in found.changed]
    rows += [(one.name or TOP_LEVEL, one.what, "") for one in found.only_a]
    rows += [(one.name or TOP_LEVEL, "", one.what) for one in found.only_b]
    if rows:
        yield table("Values", [column("path", "name"), column("in A", "text"), column("in B", "text")], rows)
