"""The report of `ptzip convert` as text: what was written, and what was left out and why."""

from collections.abc import Iterator

from ptzip.converting.report import ConvertReport, Removed
from ptzip.render.losses import loss_lines
from ptzip.render.words import printable, size
from ptzip.tensors.rounding import Loss

MOST_SHOWN = 20
"""The number of tensors and keys that are printed; JSON has all."""


def lines(report: ConvertReport) -> Iterator[str]:
    """What was written."""
    if not report.outputs:
        yield f"{printable(report.path)}: nothing written (--strict)"
        return
    first, *more = report.outputs
    others = f" and {len(more):,} more files" if len(more) > 1 else f", {more[0]}" if more else ""
    yield f"{printable(report.path)} -> {printable(first + others)}  [{report.format}]"
    tied = f" ({len(report.ties):,} of them shared with another name)" if report.ties else ""
    cast = f", {report.cast:,} of them cast to {report.dtype}" if report.cast else ""
    yield f"  {report.tensors:,} tensors{tied}, {size(report.size)}{cast}"
    if report.larger:
        yield f"  larger than the input: {report.larger}"
    if report.removed:
        yield f"  left out (--all exports everything): {printable(_some(tuple(map(_removed, report.removed))))}"
    if report.others:
        yield f"  not exported (no tensors): {printable(_some(report.others))}"
    yield from (f"  {printable(note)}" for note in report.notes)
    yield from (f"  {line}" for line in loss_lines(report.loss or Loss(), report.wide, report.dtype))
    if report.shared_prefix:
        yield f"  all names begin with {printable(report.shared_prefix)}. (--strip auto removes it)"


def _removed(one: Removed) -> str:
    """The path of what was left out, and what it is where an edit said so."""
    what = one.what.removeprefix("None").removeprefix("removed").removeprefix(", ")
    return f"{one.path} ({what})" if what and one.path else what or one.path


def warnings(report: ConvertReport) -> Iterator[str]:
    """What a user should know before the output is used."""
    for one in report.left_out[:MOST_SHOWN]:
        yield f"left out {one.name or 'the tensor'}: {one.why}"
    if len(report.left_out) > MOST_SHOWN:
        yield f"left out {len(report.left_out) - MOST_SHOWN:,} more tensors (--json has all)"
    yield from report.warnings


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more
