"""A scan: everything in a file, judged by every rule for its kind of subject. The rules see only what was read."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from ptzip.allowlist.table import NOTHING, Trust
from ptzip.errors import PtzipError
from ptzip.formats.folders import opened_any
from ptzip.io.folders import FolderSource, has_model_suffix
from ptzip.io.sources import FileSource, Openable, Source, look_everywhere, named_member, place_of
from ptzip.io.urls import redacted
from ptzip.limits import SCAN_LIMITS, Limits
from ptzip.scanning.report import Finding, Hit, ScanReport, Severity, Verdict, verdict
from ptzip.scanning.rules import RULES
from ptzip.scanning.subjects import Note, NoteKind, PickleStream, Subject
from ptzip.scanning.walk import subjects

RULES_OF = {of: tuple(rule for rule in RULES if rule.of is of) for of in {rule.of for rule in RULES}}


def scan(source: Openable, *, trust: Iterable[str] = (), whole: bool = False, limits: Limits = SCAN_LIMITS) -> ScanReport:
    """Whether a checkpoint is safe to load: a verdict, and the findings that led to it. Nothing in it is executed.

    `source` is a path, FILE::NAME, the bytes of a file, or a binary file object. `trust` are names beside the allow list,
    "module.Name" or presets (`ptzip.scanning.presets`): instances of the classes, and calls too where "()" follows a name. With
    `whole`, also what no loader unpickles of a large file at a URL is fetched. A file that cannot be read has the verdict
    `unreadable`. Raises OSError where a file cannot be opened, ValueError for a name that cannot be trusted.
    """
    given, names = tuple(trust), NOTHING
    if given:
        from ptzip.scanning.trust import trusted  # most scans trust nothing else

        names = trusted(given)
    name = redacted(str(source))
    try:
        with _opened(source, limits) as opened:
            name = opened.name
            if whole:
                look_everywhere(opened)
            return scan_source(opened, names, limits)._replace(trust=given)
    except PtzipError as error:
        return ScanReport(name, Verdict.UNREADABLE, reason=str(error), trust=given)


def _opened(source: Openable, limits: Limits) -> AbstractContextManager[Source]:
    if not named_member(source)[1]:
        return opened_any(source, by_index=False)
    from ptzip.checkpoint import opened_bytes  # here, so that other files do not wait for it

    return opened_bytes(source, limits)


def scan_source(source: Source, trusted: Trust = NOTHING, limits: Limits = SCAN_LIMITS) -> ScanReport:
    """Scan everything in an open source; of a folder, each file in it, those of the checkpoint and any other."""
    if isinstance(source, FolderSource):
        return _joined(source.name, dict(_of_files(source, trusted, limits)))
    findings, names, used, reason = list[Finding](), set[str](), set[str](), ""
    for subject in itertools.chain(subjects(source, limits, trusted), _indexed(source, limits, trusted)):
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


def _of_files(source: FolderSource, trusted: Trust, limits: Limits) -> Iterator[tuple[str, ScanReport]]:
    """The reports on the files of a folder by their names; on what it has beside the checkpoint, where that is one too."""
    for name, file in source.binary_files.items():
        yield name, scan_source(file, trusted, limits)
    for path in source.other_paths:
        with contextlib.closing(FileSource(path)) as other:
            report = scan_source(other, trusted, limits)
        if report.verdict is not Verdict.UNREADABLE or has_model_suffix(path):
            yield os.path.relpath(path, source.path), report


def _indexed(source: Source, limits: Limits, trusted: Trust) -> Iterator[Subject]:
    """What an index of torch.distributed.checkpoint makes torch load of other files."""
    if not source.name.endswith(".metadata"):
        return
    from ptzip.scanning.indexed_items import indexed_items  # here, since most files are no index

    yield from indexed_items(source, limits, trusted)


def _joined(name: str, reports: dict[str, ScanReport]) -> ScanReport:
    """One report on the files of a folder, by their names."""
    found = [
        one._replace(record=f"{file}: {one.record}".removesuffix(": "))
        for file, report in reports.items()
        for one in report.findings
    ]
    reason = next((f"{file}: {report.reason}" for file, report in reports.items() if report.reason), "")
    names = tuple(sorted({one for report in reports.values() for one in report.globals}))
    trusted = tuple(sorted({one for report in reports.values() for one in report.trusted}))
    return ScanReport(name, verdict(found, reason), tuple(found), names, reason, trusted=trusted)


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
