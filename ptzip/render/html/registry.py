"""The page about many files: what they are, what `slim` would save of them, and what they have in common."""

from collections.abc import Iterator

from ptzip.inspecting.registry import SMALLEST, Group, Registry
from ptzip.render.html.page import Badge, Section, page
from ptzip.render.html.tables import column, table
from ptzip.render.words import count, share, size

MOST_FILES, MOST_STORAGES = 5000, 500
"""Rows of the longest tables; the others are counted."""

BYTES = column("bytes", "bytes")
SAVED = column("slim saves", "bytes", "What slim would save with its defaults")


def registry_page(found: Registry) -> str:
    """The page. Raises UnsupportedError where plotly is not installed."""
    total, saved = _totals(found)
    badges = (Badge(count(len(found.entries), "file")), Badge(size(total)), Badge(f"slim saves {size(saved)}", "good"))
    return page("Checkpoints", badges, _sections(found))


def _totals(found: Registry) -> tuple[int, int]:
    return sum(entry.size for entry in found.entries), sum(entry.saved for entry in found.entries)


def _sections(found: Registry) -> Iterator[Section]:
    total, saved = _totals(found)
    shared = found.shared()
    repeated = sum(one.repeated for one in shared)
    facts = [
        ("files", f"{len(found.entries):,}"),
        ("size", f"{size(total)} ({total:,} bytes)"),
        ("slim would save", f"{size(saved)} ({saved:,} bytes, {share(saved, total)})"),
        (
            "in several files",
            f"{count(len(shared), 'storage')}, {size(repeated)} beyond one copy each",
        ),
    ]
    yield Section("Summary", "facts", {"rows": facts})
    for title, field in (("Verdicts", "verdict"), ("Formats", "format"), ("Frameworks", "framework"), ("Versions", "torch")):
        yield _groups(title, found.groups(field))
    yield _shared(found)
    yield _files(found)


def _groups(title: str, groups: list[Group]) -> Section:
    columns = [column(title.lower(), "text"), column("files", "number"), BYTES, SAVED]
    return table(title, columns, groups, search=False)


def _shared(found: Registry) -> Section:
    shared = found.shared()
    note = (
        f"Storages of at least {size(SMALLEST)} with the same size and CRC-32, as recorded in the files; no storage was read. "
        "Two different ones agree by chance once in 4 billion pairs of one size, and anybody can make them agree on purpose: "
        "compare the files with diff before one is deleted."
    )
    note += f" The first {MOST_STORAGES:,} of {len(shared):,}." if len(shared) > MOST_STORAGES else ""
    columns = [BYTES, column("CRC-32", "short"), column("files", "number"), column("repeated", "bytes"), column("in", "text")]
    rows = ((one.size, f"{one.crc:08x}", one.files, one.repeated, ", ".join(one.paths)) for one in shared[:MOST_STORAGES])
    return table("In several files", columns, rows, note)


def _files(found: Registry) -> Section:
    columns = [column("file", "text"), column("verdict", "short"), BYTES, SAVED]
    columns += [column("format", "text"), column("framework", "short"), column("torch", "text")]
    rows = sorted(found.entries, key=lambda entry: (-entry.saved, entry.path))
    note = f"The {MOST_FILES:,} of which slim saves most." if len(rows) > MOST_FILES else ""
    return table("Files", columns, rows[:MOST_FILES], note)
