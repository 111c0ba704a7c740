"""Is a checkpoint whole? Its structure, both headers of every record, every CRC, and the storages against the pickle.

Rule: everything is looked at and everything wrong is told; only what cannot be read on stops at the first problem.
"""

import os
from collections.abc import Iterator

from ptzip.errors import CutError, FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.io.compression import Compression, opened_compression, unpacked
from ptzip.io.sources import FileSource, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.verifying.crcs import Reading
from ptzip.verifying.directory import WRONG_SIGNATURE, contradictions, nameless_end, unreadable
from ptzip.verifying.report import CUT, DATA, HEADER, Problem, VerifyReport
from ptzip.zip.ends import is_zip, zips_in
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.reader import Archive, read_archive
from ptzip.zip.structs import LOCAL_SIGNATURE


def verify(path: str | os.PathLike[str], *, values: bool = False, limits: Limits = DEFAULT_LIMITS) -> VerifyReport:
    """Look at every byte of a checkpoint; with `values` at every number, too. What is wrong is in the report.

    Raises OSError where there is no such file, UnsupportedError or LimitError where it cannot be judged.
    """
    source = FileSource(path)
    try:
        kind = opened_compression(source)
        return _unpacked(source, kind, values, limits) if kind else _judged(source, values, limits)
    finally:
        source.close()


def _unpacked(source: Source, kind: Compression, values: bool, limits: Limits) -> VerifyReport:
    """What is inside a compressed file, which torch does not load before it is unpacked."""
    try:
        inner = unpacked(source, kind, limits)
    except FormatError as error:
        problem = Problem(CUT if isinstance(error, CutError) else DATA, "", error.message, error.offset)
        return VerifyReport(source.name, source.size, kind.name, (problem,))
    try:
        return _judged(inner, values, limits)._replace(size=source.size, loading=None)
    finally:
        inner.close()


def _judged(source: Source, values: bool, limits: Limits) -> VerifyReport:
    if is_zip(source):
        return _zip(source, values, limits)
    if source.size and LOCAL_SIGNATURE.startswith(source.read(0, min(source.size, len(LOCAL_SIGNATURE)))):
        return _cut(source, limits)
    return _other(source, values, limits)


def _cut(source: Source, limits: Limits) -> VerifyReport:
    """A zip without the end of its directory: it was cut off, or that end is not known for one."""
    place = nameless_end(source)
    if place is not None:
        return VerifyReport(source.name, source.size, "zip", (Problem(HEADER, "", WRONG_SIGNATURE, place),))
    from ptzip.verifying.truncation import remains  # here, since few files are

    try:
        found = remains(source, limits)
    except FormatError as error:
        return VerifyReport(
            source.name, source.size, "zip", (Problem(CUT, "", f"it is cut off: {error.message}", error.offset),)
        )
    return VerifyReport(source.name, source.size, "torch.save zip", (found.problem,), rest=found.rest)


def _zip(source: Source, values: bool, limits: Limits) -> VerifyReport:
    """While the records are read, the file is opened, and what that takes is loaded."""
    report = VerifyReport(source.name, source.size, "zip")
    try:
        zips, before = zips_in(source)
        if before:
            raise FormatError(f"the first {before:,} bytes are not a zip, but a zip follows them", 0)
        archives = [read_archive(one, limits) for one in zips]
    except FormatError as error:
        return report._replace(problems=(unreadable(source, error),))
    with Reading(archives) as reading:
        headers = [problem for archive in archives for problem in (*contradictions(archive), *_headers(archive))]
        refusal, report = _tried(report, values, limits)
        sums = reading.result()
    if refusal is not None and not headers and not sums.problems:
        raise refusal
    problems = (*headers, *sums.problems, *report.problems)
    loading = None if problems else report.loading
    return report._replace(problems=problems, records=sums.right, unchecked=sums.unchecked, loading=loading)


def _tried(report: VerifyReport, values: bool, limits: Limits) -> tuple[PtzipError | None, VerifyReport]:
    """What opening the file finds, or why it cannot be opened: damage may look like something that is not supported."""
    try:
        return None, _opened(report, values, limits)
    except (UnsupportedError, LimitError) as error:
        return error, report


def _opened(report: VerifyReport, values: bool, limits: Limits) -> VerifyReport:
    from ptzip.verifying.contents import opened  # here, so that the records are read meanwhile

    return opened(report, values, limits)


def _headers(archive: Archive) -> Iterator[Problem]:
    """Where the two headers of a record do not agree, or one is not there."""
    for entry in archive.entries:
        try:
            for found in mismatches(entry):
                said = f"the directory says {found.field} {found.central}, its own header {found.local}"
                yield Problem(HEADER, entry.name, said, entry.header_offset)
        except PtzipError as error:
            yield Problem(HEADER, entry.name, str(error), entry.header_offset)


def _other(source: Source, values: bool, limits: Limits) -> VerifyReport:
    """A file without checksums: it is whole, if everything that it promises is there."""
    return _opened(VerifyReport(source.name, source.size), values, limits)
