"""Reports as plain text for people: a few aligned lines a file, no colour, ASCII only.

Sizes are decimal (1 MB is 1,000,000 bytes), as file managers and model pages give them.
"""

from collections.abc import Iterator

from ptzip.api import SlimReport
from ptzip.editing.edit import Step
from ptzip.reports.line import printable
from ptzip.tensors.loss import Loss

LABEL_WIDTH = 24
SIZE_WIDTH = 10
ALWAYS = (Step.RESULTS, Step.OPTIMIZER, Step.EMA, Step.HALF)
"""The steps of the original recipe, which are shown even where they saved nothing."""


def size(count: int) -> str:
    """A number of bytes, with one decimal from 1 kB on."""
    value, sign = float(abs(count)), "-" if count < 0 else ""
    for unit in ("B", "kB", "MB", "GB"):
        if round(value, 1) < 1000 or unit == "GB":
            break
        value /= 1000
    digits = 0 if unit == "B" else 1
    return f"{sign}{value:.{digits}f} {unit}"


def slim_lines(report: SlimReport) -> Iterator[str]:
    """Where the bytes went, step by step, and what is left."""
    if report.already_slim:
        yield f"{printable(report.path)}: already slim ({size(report.old_size)}), nothing written"
        return
    output = printable(report.output) if report.output else "nothing written (dry run)"
    yield f"{printable(report.path)} -> {output}  [{report.recipe}]"
    for step, count in report.saved.items():
        if count or step in ALWAYS:
            yield _row(step.value, size(count))
    yield _row("pickle and zip", size(report.rest))
    share = f"{report.saved_share:.1%}".replace("%", " %")
    yield _row(
        "total",
        size(report.old_size - report.new_size),
        f"{size(report.old_size)} -> {size(report.new_size)}, {share} saved",
    )
    yield from (f"  {line}" for line in _loss_lines(report.loss or Loss()))


def plan_lines(report: SlimReport) -> Iterator[str]:
    """What would be changed, place by place."""
    yield from (f"    {printable(change.path)}: {printable(change.what)}" for change in report.changes)


def _row(label: str, amount: str, more: str = "") -> str:
    return f"  {label:<{LABEL_WIDTH}}{amount:>{SIZE_WIDTH}}   {more}".rstrip()


def _loss_lines(loss: Loss) -> Iterator[str]:
    if loss.overflowed:
        yield f"{loss.overflowed:,} values beyond the range of float16 (65,504) became infinite"
    if loss.vanished:
        yield f"{loss.vanished:,} values too small for float16 (below 3e-8) became zero"
