"""Is a checkpoint whole? Its structure, both headers of every record, every CRC, and the storages against the pickle.

Rule: everything is looked at and everything wrong is told; only what cannot be read on stops at the first problem.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.container.archive import Archive, archive_offset, is_zip, read_archive
from ptzip.container.differences import differences
from ptzip.errors import CutError, FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.formats.torchzip import TorchZip
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.source import FileSource, Source, Window
from ptzip.verifying.checksums import checksums
from ptzip.verifying.cutoff import is_cut_zip, remains
from ptzip.verifying.promises import broken_promises, loading
from ptzip.verifying.report import CUT, HEADER, PICKLE, Numbers, Problem, VerifyReport


def verify(path: str | os.PathLike[str], *, values: bool = False, limits: Limits = DEFAULT_LIMITS) -> VerifyReport:
    """Look at every byte of a checkpoint; with `values` at every number, too. What is wrong is in the report.

    Raises OSError where there is no such file, UnsupportedError or LimitError where it cannot be judged.
    """
    source = FileSource(path)
    try:
        if is_zip(source):
            return _zip(source, Path(path), values, limits)
        if is_cut_zip(source):
            return _cut(source, limits)
        return _other(source, Path(path), values, limits)
    finally:
        source.close()


def _cut(source: FileSource, limits: Limits) -> VerifyReport:
    try:
        found = remains(source, limits)
    except FormatError as error:
        return VerifyReport(
            source.name, source.size, "zip", (Problem(CUT, "", f"it is cut off: {error.message}", error.offset),)
        )
    return VerifyReport(source.name, source.size, "torch.save zip", (found.problem,), rest=found.rest)


def _zip(source: FileSource, path: Path, values: bool, limits: Limits) -> VerifyReport:
    report = VerifyReport(source.name, source.size, "zip")
    try:
        for window in _windows(source):
            archive = read_archive(window, limits)
            sums = checksums(archive)
            report = report._replace(
                problems=(*report.problems, *_headers(archive), *sums.problems),
                records=report.records + sums.right,
                unchecked=(*report.unchecked, *sums.unchecked),
            )
    except FormatError as error:
        return report._replace(problems=(*report.problems, Problem(HEADER, "", error.message, error.offset)))
    return _opened(report, path, values, limits)


def _windows(source: Source) -> Iterator[Source]:
    """The zips of a file, mostly one; those of a shard follow one another, and the last alone says where it begins."""
    end = source.size
    while end:
        window = Window(source, 0, end) if end < source.size else source
        start = archive_offset(window)
        yield Window(source, start, end - start) if start else window
        end = start


def _headers(archive: Archive) -> Iterator[Problem]:
    """Where the two headers of a record do not agree, or one is not there."""
    for entry in archive.entries:
        try:
            for found in differences(entry):
                said = f"the directory says {found.field} {found.central}, its own header {found.local}"
                yield Problem(HEADER, entry.name, said, entry.header_offset)
        except PtzipError as error:
            yield Problem(HEADER, entry.name, str(error), entry.header_offset)


def _other(source: Source, path: Path, values: bool, limits: Limits) -> VerifyReport:
    """A file without checksums: it is whole, if everything that it promises is there."""
    return _opened(VerifyReport(source.name, source.size), path, values, limits)


def _opened(report: VerifyReport, path: Path, values: bool, limits: Limits) -> VerifyReport:
    """What the file says once it is opened as whoever loads it does."""
    try:
        with open_checkpoint(path, limits) as checkpoint:
            problems = (*report.problems, *_fit(checkpoint))
            found = report._replace(format=checkpoint.format, problems=problems)
            if problems:
                return found
            numbers = tuple(_numbers(checkpoint)) if values else ()
            return found._replace(loading=loading(checkpoint) if checkpoint.parts else None, numbers=numbers)
    except FormatError as error:
        return report._replace(problems=(*report.problems, _unreadable(error)))
    except (UnsupportedError, LimitError):
        if report.problems:
            return report
        raise


def _unreadable(error: FormatError) -> Problem:
    words = ("cut off", "ends early", "ends inside", "without STOP")
    is_cut = isinstance(error, CutError) or any(word in error.message for word in words)
    kind = CUT if is_cut else PICKLE if "pickle" in error.message else HEADER
    return Problem(kind, "", error.message, error.offset)


def _fit(checkpoint: Checkpoint) -> Iterator[Problem]:
    """Pickles that break off, storages of another length, and offsets that are not kept."""
    for part in checkpoint.parts if checkpoint.layout.refusal == "" else checkpoint.parts[:1]:
        try:
            part.check_storages()
        except FormatError as error:
            yield Problem(PICKLE, part.name, error.message, error.offset)
    if isinstance(checkpoint.layout, TorchZip):
        yield from broken_promises(checkpoint.layout)


def _numbers(checkpoint: Checkpoint) -> Iterator[Numbers]:
    """The tensors with values that are no numbers."""
    from ptzip.inspection.values import statistics  # here, since few ask for it, and it needs numpy

    for name, tensor in checkpoint.tensors().items():
        try:
            found = statistics(tensor)
        except PtzipError:  # quantized and packed values are never NaN
            continue
        if found.nans or found.infinities:
            yield Numbers(name, found.nans, found.infinities)
