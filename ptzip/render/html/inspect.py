"""The page of `ptzip inspect`: where the bytes go, what slimming would do, whether loading is safe, and all tensors."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ptzip.inspecting.contents import Contents
from ptzip.inspecting.report import InspectReport
from ptzip.render.html.bytes_by_path import bytes_section, kinds
from ptzip.render.html.file_map import map_section
from ptzip.render.html.layers import layer_sections
from ptzip.render.html.page import Badge, Section, page
from ptzip.render.html.safety import safety_badge, safety_sections
from ptzip.render.html.slim import slim_section
from ptzip.render.html.tables import column, table
from ptzip.render.html.tensors import tensor_section
from ptzip.render.inspect import contents as content_facts
from ptzip.render.inspect import origin
from ptzip.render.inspect_views import branch
from ptzip.render.words import size, value
from ptzip.scanning.report import ScanReport
from ptzip.slimming.report import SlimReport
from ptzip.text import TOP_LEVEL


class Inspected(NamedTuple):
    """All that is on the page of a file. `slim` is what slimming it would do, or the reason why it would not."""

    report: InspectReport
    contents: Contents
    scan: ScanReport
    slim: SlimReport | str


def inspect_page(found: Inspected) -> str:
    """The page of a file. Raises UnsupportedError where plotly is not installed."""
    badges = (Badge(size(found.report.size)), Badge(found.report.format), safety_badge(found.scan))
    return page(Path(found.report.path).name, badges, _sections(found))


def _sections(found: Inspected) -> Iterator[Section]:
    report, contents = found.report, found.contents
    marks = kinds(contents.uses, found.slim)
    yield _summary(report)
    yield bytes_section(report, contents.uses, marks)
    yield slim_section(found.slim)
    yield from safety_sections(found.scan, report.imports)
    yield _keys(report)
    yield tensor_section(contents.uses, marks, contents.statistics, report.unpacked)
    yield from layer_sections(contents.uses, marks, contents.statistics)
    if contents.tree:
        rows = [(row.depth, row.name, f"{row.hidden:,} more" if row.hidden else branch(row)) for row in contents.tree]
        yield Section("Object", "tree", {"rows": rows}, "The object that was saved, as the pickle builds it.")
    yield map_section(contents.parts, report.size)
    if contents.metadata:
        yield table("Metadata", [column("key", "name"), column("value", "text")], contents.metadata.items())


def _summary(found: InspectReport) -> Section:
    facts = [("file", found.path), ("size", f"{size(found.size)} ({found.size:,} bytes)")]
    facts += [(name, ", ".join(words)) for name, words in (*origin(found), *content_facts(found))]
    return Section("Summary", "facts", {"rows": facts})


def _keys(found: InspectReport) -> Section:
    """The top-level keys of the object."""
    columns = [
        column("key", "name"),
        column("kind", "short"),
        column("value", "text"),
        column("items", "number"),
        column("storages", "bytes", "Bytes of storages, each counted for its first key"),
        column("pickle", "bytes", "Bytes of the pickle"),
        column("share", "share", "Share of the file"),
    ]
    rows = (
        (
            row.key or TOP_LEVEL,
            row.kind,
            "" if row.value is None else value(row.value),
            row.below,
            row.storages,
            row.pickle,
            row.size / max(found.unpacked, 1),
        )
        for row in found.keys
    )
    return table("Keys", columns, rows)
