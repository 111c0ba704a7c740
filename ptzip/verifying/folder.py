"""A folder that is one checkpoint: each of its files as one of its own, and then whether they agree with one another."""

from collections.abc import Callable, Iterator

from ptzip.checkpoint import Checkpoint
from ptzip.errors import CutError, FormatError, Problem
from ptzip.formats.folders.assembly import Folder
from ptzip.io.folders import FolderSource
from ptzip.io.payloads import ByteCounter
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.verifying.contents import non_finite
from ptzip.verifying.report import VerifyReport


def folder_report(
    source: FolderSource, of_file: Callable[[Source], VerifyReport], values: ByteCounter | None, limits: Limits
) -> VerifyReport:
    """The report on all files, as `of_file` makes it of each, and on what the index says of them.

    `values` counts the bytes of tensors that are searched for NaN and infinity; None if they are not.
    """
    report = VerifyReport(source.name, source.size, source.kind)
    for name, file in source.binary_files.items():
        report = _joined(report, name, of_file(file))
    try:
        with Checkpoint(source, limits) as checkpoint:
            assert isinstance(checkpoint.container, Folder)
            problems = (*report.problems, *_problems(checkpoint.container))
            numbers = tuple(non_finite(checkpoint, values)) if values and not problems else ()
    except FormatError as error:
        return report._replace(problems=(_problem("", error), *report.problems))
    return report._replace(problems=problems, numbers=numbers)


def _joined(report: VerifyReport, name: str, inner: VerifyReport) -> VerifyReport:
    return report._replace(
        problems=report.problems + tuple(one._replace(place=_at(name, one.place)) for one in inner.problems),
        warnings=report.warnings + tuple(one._replace(place=_at(name, one.place)) for one in inner.warnings),
        records=report.records + inner.records,
        unchecked=report.unchecked + tuple(_at(name, one) for one in inner.unchecked),
    )


def _at(name: str, place: str) -> str:
    return f"{name}: {place}" if place else name


def _problems(folder: Folder) -> Iterator[Problem]:
    """Pieces of tensors that are not what the index says."""
    for name, tensor in folder.assembled.items():
        for piece in tensor.pieces:
            try:
                _ = piece.stored
            except FormatError as error:
                yield _problem(name, error)


def _problem(place: str, error: FormatError) -> Problem:
    return Problem("cut" if isinstance(error, CutError) else "header", place, error.message, error.offset, error.inside)
