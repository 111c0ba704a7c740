"""Whether loading a file is safe: the verdict of a scan, its findings, and the names that loading imports."""

from collections.abc import Iterable, Iterator

from ptzip.inspecting.report import ImportedName
from ptzip.render.html.page import Badge, Section
from ptzip.render.html.tables import column, table
from ptzip.render.scan import WORDS
from ptzip.render.words import count
from ptzip.scanning.report import ScanReport, Verdict

LEVELS = {Verdict.CLEAN: "good", Verdict.REVIEW: "warn", Verdict.MALICIOUS: "bad", Verdict.UNREADABLE: "bad"}

MEANINGS = {
    Verdict.CLEAN: "Everything that loading imports and calls is on the allow list.",
    Verdict.REVIEW: "Loading runs code that is not on the allow list; the findings name it.",
    Verdict.MALICIOUS: "Do not load this file: it attacks the program that loads it.",
    Verdict.UNREADABLE: "The file could not be read completely, so nothing is known about the rest of it.",
}


def safety_badge(found: ScanReport) -> Badge:
    """The verdict in a word."""
    return Badge(f"scan: {WORDS[found.verdict]}", LEVELS[found.verdict])


def safety_sections(found: ScanReport, imports: Iterable[ImportedName]) -> Iterator[Section]:
    """The verdict with its findings, the worst first, and the imports."""
    columns = [
        column("severity", "short"),
        column("rule", "short"),
        column("finding", "text"),
        column("record", "text"),
        column("byte", "number"),
        column("times", "number"),
    ]
    rows = [
        (one.severity.name.lower(), one.rule, one.message, one.record, one.offset, one.times)
        for one in sorted(found.findings, key=lambda one: -one.severity)
    ]
    words = f"{WORDS[found.verdict]}: {MEANINGS[found.verdict]}" + (f" {found.reason}." if found.reason else "")
    if rows:
        yield table("Safety", columns, rows, f"{words} {count(sum(one.times for one in found.findings), 'finding')}.")
    else:
        yield Section("Safety", "facts", {"rows": [("verdict", words, LEVELS[found.verdict])]})
    yield _imports(imports)


def _imports(names: Iterable[ImportedName]) -> Section:
    columns = [column("name", "name"), column("allow-listed", "short"), column("used as", "short"), column("times", "number")]
    rows = ((one.path, "yes" if one.is_harmless else "no", "called" if one.is_called else "named", one.times) for one in names)
    return table("Imports", columns, rows, "What unpickling imports; ptzip imports none of it.")
