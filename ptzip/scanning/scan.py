"""A scan: everything in a file, judged by every rule for its kind of subject. The rules see only what was read."""

from collections.abc import Iterable, Iterator

from ptzip.allowlist.table import NOTHING, Trust
from ptzip.errors import ChangedError, FormatError, PtzipError
from ptzip.io.sources import Openable, Source, open_source, place_of, unchanged
from ptzip.limits import SCAN_LIMITS, Limits
from ptzip.scanning.report import Finding, Hit, ScanReport, Severity, Verdict, verdict
from ptzip.scanning.rules import RULES
from ptzip.scanning.subjects import Note, NoteKind, PickleStream, Subject
from ptzip.scanning.walk import subjects

RULES_OF = {of: tuple(rule for rule in RULES if rule.of is of) for of in {rule.of for rule in RULES}}


def scan(source: Openable, *, trust: Iterable[str] = (), limits: Limits = SCAN_LIMITS) -> ScanReport:
    """Whether a checkpoint is safe to load: a verdict, and the findings that led to it. Nothing in it is executed.

    `source` is a path, the bytes of a file, or a binary file object. `trust` are names in addition to the allow list,
    "module.Name" or presets (`ptzip.scanning.presets`): instances of the classes, and calls too where "()" follows a name. A
    file that cannot be read has the verdict `unreadable`. Raises OSError where a file cannot be opened, ValueError for a name
    that cannot be trusted.
    """
    given, names = tuple(trust), NOTHING
    if given:
        from ptzip.scanning.trust import trusted  # most scans trust nothing else

        names = trusted(given)
    try:
        opened = open_source(source)
    except FormatError as error:
        return ScanReport(str(source), Verdict.UNREADABLE, reason=str(error), trust=given)
    try:
        with unchanged(opened):
            return scan_source(opened, names, limits)._replace(trust=given)
    except ChangedError as error:
        return ScanReport(opened.name, Verdict.UNREADABLE, reason=str(error), trust=given)
    finally:
        opened.close()


def scan_source(source: Source, trusted: Trust = NOTHING, limits: Limits = SCAN_LIMITS) -> ScanReport:
    """Scan everything in an open source."""
    findings, names, used, reason = list[Finding](), set[str](), set[str](), ""
    for subject in subjects(source, limits, trusted):
        if isinstance(subject, PickleStream):
            imported = list(subject.imported)
            names.update(node.path for node in imported)
            used.update(node.path for node in imported if trusted and (node.module, node.name) in trusted)
        if isinstance(subject, Note) and subject.kind is NoteKind.UNREAD:
            reason = reason or subject.message
        findings += _judged(subject)
    return ScanReport(
        source.name, verdict(findings, reason), tuple(findings), tuple(sorted(names)), reason, trusted=tuple(sorted(used))
    )


def _judged(subject: Subject) -> Iterator[Finding]:
    """The findings in one subject. Hits of a rule with the same message are one finding."""
    is_doubtful = isinstance(subject, PickleStream) and subject.is_doubtful
    for rule in RULES_OF.get(type(subject), ()) if not is_doubtful else ():
        found = dict[str, tuple[Hit, int]]()
        try:
            for hit in rule.check(subject):
                first, times = found.get(hit.message, (hit, 0))
                found[hit.message] = first, times + 1
        except PtzipError as error:
            yield Finding(rule.id, Severity.REVIEW, f"this cannot be checked: {error}", subject.location)
        for hit, times in found.values():
            offset, inside = (hit.offset, "") if subject.source is None else place_of(subject.source, hit.offset)
            yield Finding(rule.id, rule.severity, hit.message, subject.location, offset, times, inside, hit.trust)
