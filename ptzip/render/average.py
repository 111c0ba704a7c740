"""The report of `ptzip average` as text: what was averaged, and what is that of the first file."""

from collections.abc import Iterator

from ptzip.averaging.report import AverageReport
from ptzip.render.words import printable, size
from ptzip.text import listed


def lines(report: AverageReport) -> Iterator[str]:
    """What was written, and of what."""
    shares = {one.share for one in report.inputs}
    how = "the mean" if len(shares) == 1 else "the weighted mean"
    yield f"{printable(report.output)}: {how} of {len(report.inputs)} files, {size(report.size)}"
    if len(shares) > 1:
        yield from (f"  {one.share:7.2%}  {printable(one.path)}" for one in report.inputs)
    rest = report.tensors - report.averaged
    same = f", {rest:,} as in {printable(report.inputs[0].path)}" if rest else ""
    yield f"  {report.averaged:,} of {report.tensors:,} tensors averaged in {report.precision}{same}"
    if report.kept:
        yield f"  not averaged, and of the first file where they differ: {printable(listed(report.kept))}"
    if report.removed:
        yield f"  left out: {printable(listed([one.path or one.what for one in report.removed]))}"
    yield from (f"  {printable(note)}" for note in report.notes)


def warnings(report: AverageReport) -> Iterator[str]:
    """What a user should know before the output is used."""
    if report.nan:
        yield f"NaN of one file is NaN in the average: {listed(report.nan)}"
    yield from report.warnings
