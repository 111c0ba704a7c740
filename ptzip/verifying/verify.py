"""Checks a checkpoint's integrity: its structure, both headers of every record, every CRC, and storages against the pickle.

Every problem is reported; only a problem that makes the rest unreadable is reported alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import CutError, FormatError, LimitError, Problem, PtzipError, UnsupportedError
from ptzip.formats.folders import opened_any
from ptzip.formats.signatures import CHECKPOINT_HEAD, begins_checkpoint, is_tar
from ptzip.io.compression import Compression, compression_of, unpacked
from ptzip.io.folders import FolderSource
from ptzip.io.payloads import ByteCounter, Progress
from ptzip.io.sources import Openable, Source, named_member, placed_problems
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.verifying.crcs import CrcReader
from ptzip.verifying.report import VerifyReport
from ptzip.zip.directory_problems import damaged_end, directory_problems, unreadable
from ptzip.zip.find_archives import is_zip, zips_in_a_row
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.reader import Archive, read_archive
from ptzip.zip.structs import LOCAL_SIGNATURE


def verify(
    source: Openable, *, values: bool = False, progress: Progress | None = None, limits: Limits = DEFAULT_LIMITS
) -> VerifyReport:
    """Check every byte of a checkpoint, and with `values` every number, too.

    Raises OSError where there is no such file, UnsupportedError or LimitError where it cannot be checked,
    ChangedError where another program changes it meanwhile.
    """
    if named_member(source)[1]:
        from ptzip.checkpoint import opened_bytes  # here, so that other files do not wait for it

        with opened_bytes(source, limits) as inner:
            return verify_source(inner, values=values, progress=progress, limits=limits)
    with opened_any(source) as opened:
        return verify_source(opened, values=values, progress=progress, limits=limits)


def verify_source(
    source: Source, *, values: bool = False, progress: Progress | None = None, limits: Limits = DEFAULT_LIMITS
) -> VerifyReport:
    """The same for an open source, which stays open."""
    check = ContentCheck(source, values, ByteCounter(progress), limits)
    if isinstance(source, FolderSource):
        from ptzip.verifying.folder import folder_report  # most checkpoints are files

        inner = check._replace(values=False)
        return folder_report(source, lambda file: _of_file(file, inner), check.counter if values else None, limits)
    return _of_file(source, check)


def _of_file(source: Source, check: "ContentCheck") -> VerifyReport:
    kind = compression_of(source)
    check = check._replace(source=source)
    return _of_compressed(source, kind, check) if kind else _of_source(source, check)


def _of_compressed(source: Source, kind: Compression, check: "ContentCheck") -> VerifyReport:
    """The report on what is inside a compressed file, which torch does not load before it is decompressed."""
    try:
        inner = unpacked(source, kind, check.limits)
    except FormatError as error:
        problem = Problem("cut" if isinstance(error, CutError) else "data", "", error.message, error.offset, error.inside)
        return VerifyReport(source.name, source.size, kind.name, (problem,))
    try:
        return _of_source(inner, check)._replace(size=source.size, loading=None)
    finally:
        inner.close()


def _of_source(source: Source, check: "ContentCheck") -> VerifyReport:
    report = _of_bytes(source, check)
    problems, warnings = (tuple(placed_problems(some, source)) for some in (report.problems, report.warnings))
    return report._replace(problems=problems, warnings=warnings)


def _of_bytes(source: Source, check: "ContentCheck") -> VerifyReport:
    head = source.read(0, min(source.size, CHECKPOINT_HEAD))
    begins_as_zip = bool(head) and LOCAL_SIGNATURE.startswith(head[: len(LOCAL_SIGNATURE)])
    if is_zip(source) and (begins_as_zip or not is_tar(source)):  # what a tar holds may end as a zip
        is_cut = begins_as_zip and not begins_checkpoint(head, source.size) and zips_in_a_row(source)[1] > 0
        return _with_cause(source, _of_zip_without_end(source, check.limits) if is_cut else _of_zip(source, check))
    if begins_as_zip:
        return _with_cause(source, _of_zip_without_end(source, check.limits))
    return check.of(VerifyReport(source.name, source.size))  # such a file has no checksums


def _with_cause(source: Source, report: VerifyReport) -> VerifyReport:
    """The report on a broken zip, with the conversion of its line ends in front, if that is what broke it."""
    if report.ok:
        return report
    from ptzip.zip.line_ends import converted_line_ends  # here, since few files are broken

    cause = converted_line_ends(source)
    message = f"{cause}, as by a transfer in text mode: get the file again in binary mode"
    problems = [Problem("data", "", message)] if cause else []
    return report._replace(problems=(*problems, *report.problems))


def _of_zip_without_end(source: Source, limits: Limits) -> VerifyReport:
    """The report on a zip that was cut off, or whose end record is damaged."""
    report = VerifyReport(source.name, source.size, "zip")
    problem = damaged_end(source)
    if problem is not None:
        return report._replace(problems=(problem,))
    from ptzip.verifying.truncation import truncated  # here, since few files are

    try:
        problem, rest = truncated(source, limits)
    except FormatError as error:
        return report._replace(problems=(Problem("cut", "", f"it is cut off: {error.message}", error.offset, error.inside),))
    return report._replace(format="torch.save zip" if rest else "zip", problems=(problem,), rest=rest)


def _of_zip(source: Source, check: "ContentCheck") -> VerifyReport:
    """The report on a zip, or several in a row. While threads read the records, this one opens the file."""
    report = VerifyReport(source.name, source.size, "zip")
    try:
        zips, before = zips_in_a_row(source)
        if before:
            raise FormatError(f"the first {before:,} bytes are not a zip, but a zip follows them", 0)
        archives = [read_archive(one, check.limits) for one in zips]
    except FormatError as error:
        return report._replace(problems=(unreadable(source, error),))
    refusal: PtzipError | None = None
    with CrcReader(archives, check.counter) as reader:
        headers = [problem for archive in archives for problem in _header_problems(archive)]
        try:
            report = check.of(report)
        except (UnsupportedError, LimitError) as error:  # damage may look like something that is not supported
            refusal = error
        crcs = reader.result()
    if refusal is not None and not headers and not crcs.problems:
        raise refusal
    problems = (*headers, *crcs.problems, *report.problems)
    loading = None if problems else report.loading
    records, unchecked = report.records + crcs.matching, (*report.unchecked, *crcs.unchecked)
    return report._replace(problems=problems, records=records, unchecked=unchecked, loading=loading)


class ContentCheck(NamedTuple):
    """Checks what a file contains, once its checksums are read or being read."""

    source: Source
    values: bool
    counter: ByteCounter
    limits: Limits

    def of(self, report: VerifyReport) -> VerifyReport:
        from ptzip.verifying.contents import checked_contents  # here, so that records are read while this is imported

        return checked_contents(self.source, report, self.counter if self.values else None, self.limits, self.of_member)

    def of_member(self, source: Source) -> VerifyReport:
        """The report on a checkpoint in a tar or zip of files."""
        return _of_source(source, self._replace(source=source))


def _header_problems(archive: Archive) -> Iterator[Problem]:
    """What is wrong with the directory of a zip and its headers."""
    yield from placed_problems((*directory_problems(archive), *_differing_headers(archive)), archive.source)


def _differing_headers(archive: Archive) -> Iterator[Problem]:
    """Records whose two headers differ, or that lack one."""
    for entry in archive.entries:
        try:
            for found in mismatches(entry):
                message = f"{found.field} is {found.central} in the directory, but {found.local} in the record's own header"
                yield Problem("header", entry.name, message, entry.header_offset)
        except PtzipError as error:
            yield Problem("header", entry.name, error.message, entry.header_offset)
