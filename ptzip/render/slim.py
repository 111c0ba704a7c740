"""Reports as plain text for people: a few aligned lines a file, no colour, ASCII only.

Sizes are decimal (1 MB is 1,000,000 bytes), as file managers and model pages give them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.recipes import RECIPES
from ptzip.render.escape import printable
from ptzip.render.words import size
from ptzip.slimming.report import Check, SlimReport
from ptzip.tensors.rounding import Loss

LABEL_WIDTH = 24
SIZE_WIDTH = 10
ALWAYS = (Category.RESULTS, Category.OPTIMIZER, Category.EMA, Category.HALF)
"""The steps of the original recipe, which are shown even where they saved nothing."""


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
    yield from (f"  {line}" for line in _loss_lines(report))
    if report.check is not None:
        yield f"  {_check_line(report.check, report.dtype)}"


def plan_lines(report: SlimReport) -> Iterator[str]:
    """What would happen to each key, then what else would be changed."""
    names = {key.name for key in report.keys}
    width = max([LABEL_WIDTH - 2, *(len(printable(name)) + 1 for name in names)])
    for key in report.keys:
        yield f"    {printable(key.name):<{width}}{size(key.size):>{SIZE_WIDTH}}   {printable(key.what)}".rstrip()
    for change in report.changes:
        if change.path and change.path.partition(".")[0] not in names:
            yield f"    {printable(change.path)}: {printable(change.what)}"


def _check_line(check: Check, dtype: str) -> str:
    """The verdict of a check: it would have been an error, had something been wrong."""
    worst, others = check.worst, check.tensors - check.equal
    said = f"check: {check.tensors:,} tensors read back, {check.equal:,} equal"
    if others:
        said += f", {others:,} as rounding to {dtype} makes them"
        said += f": at most {worst.absolute:.2g} off, {worst.relative:.2g} of the value"
        said += f", {worst.subnormal:,} subnormal numbers" if worst.subnormal else ""
    said += f", {check.unread:,} could not be compared" if check.unread else ""
    said += f", {check.missing:,} of the input are in no state dict" if check.missing else ""
    return said


def _row(label: str, amount: str, more: str = "") -> str:
    return f"  {label:<{LABEL_WIDTH}}{amount:>{SIZE_WIDTH}}   {more}".rstrip()


class Range(NamedTuple):
    """The largest number of a dtype, and what is nearer to zero than to its smallest, as texts."""

    largest: str
    smallest: str


RANGES = {"float16": Range("65,504", "3e-8"), "bfloat16": Range("3.39e38", "4.6e-41")}
BECAME = {"inf": "infinite", "saturate": "the largest number there is"}
MOST_NAMES = 5


def _loss_lines(report: SlimReport) -> Iterator[str]:
    """What the cast did to numbers that the new dtype does not have."""
    loss, dtype = report.loss or Loss(), report.dtype
    if report.wide:
        more = f" and {len(report.wide) - MOST_NAMES} more" if len(report.wide) > MOST_NAMES else ""
        yield f"not cast, since they have values beyond the range of {dtype} ({RANGES[dtype].largest}):"
        yield f"  {printable(', '.join(report.wide[:MOST_NAMES]))}{more}"
    if loss.overflowed:
        what = BECAME.get(report.on_overflow, "infinite")
        yield f"{loss.overflowed:,} values beyond the range of {dtype} ({RANGES[dtype].largest}) became {what}"
    if loss.vanished:
        yield f"{loss.vanished:,} values too small for {dtype} (below {RANGES[dtype].smallest}) became zero"
    if loss.nan or loss.infinite:
        yield f"{loss.nan:,} values were NaN and {loss.infinite:,} infinite before"


def recipe_lines() -> Iterator[str]:
    """The recipes, a line each, in the order in which `auto` tries them."""
    width = max(len(recipe.name) for recipe in RECIPES)
    yield from (f"{recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES)
