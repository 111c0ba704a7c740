"""The report of `ptzip slim` as text: a few aligned lines for each file, no colour, ASCII only; and the list of recipes.

Sizes are decimal (1 MB is 1,000,000 bytes), as file managers and model pages give them.
"""

from collections.abc import Iterator

from ptzip.recipes import RECIPES
from ptzip.render.losses import MOST_NAMES, loss_lines
from ptzip.render.words import count, printable, size
from ptzip.slimming.report import Check, SlimReport
from ptzip.tensors.rounding import Loss
from ptzip.text import TOP_LEVEL
from ptzip.tree.paths import with_prefixes

LABEL_WIDTH = 24
SIZE_WIDTH = 10


def slim_lines(report: SlimReport) -> Iterator[str]:
    """The bytes that each step removed, and what remains."""
    if report.already_slim:
        where = f"{printable(report.path)} -> {printable(report.output)}" if report.output else printable(report.path)
        yield f"{where}: already slim ({size(report.old_size)}), {'copied' if report.output else 'nothing written'}"
        yield from (f"  {printable(note)}" for note in report.notes)
        return
    output = printable(report.output) if report.output else "nothing written (dry run)"
    yield f"{printable(report.path)} -> {output}  [{report.recipe}]"
    yield from (_row(step, size(saved)) for step, saved in report.steps.items())
    share = f"{report.saved_share:.1%}".replace("%", " %")
    yield _row(
        "total",
        size(report.old_size - report.new_size),
        f"{size(report.old_size)} -> {size(report.new_size)}, {share} saved",
    )
    yield from (f"  {printable(note)}" for note in report.notes)
    losses = loss_lines(report.loss or Loss(), report.wide, report.dtype, report.on_overflow)
    yield from (f"  {line}" for line in losses)
    yield from (f"  {line}" for line in check_lines(report))


def check_lines(report: SlimReport) -> Iterator[str]:
    """The result of `--check`, where it was made."""
    if report.check is not None:
        yield f"{_check_line(report.check, report.dtype)}; {printable(_verdict(report.check, report.dtype))}"


def plan_lines(report: SlimReport) -> Iterator[str]:
    """What would happen to each key, then the other changes."""
    names = {key.name: printable(key.name or TOP_LEVEL) for key in report.keys}
    width = max([LABEL_WIDTH - 2, *(len(shown) + 1 for shown in names.values())])
    for key in report.keys:
        yield f"    {names[key.name]:<{width}}{size(key.size):>{SIZE_WIDTH}}   {printable(key.what)}".rstrip()
    for change in report.changes:
        if change.path and names.keys().isdisjoint(with_prefixes(change.path)):
            yield f"    {printable(change.path)}: {printable(change.what)}"


def _check_line(check: Check, dtype: str) -> str:
    """The result of `--check`; a tensor that is neither equal nor rounded would have been an error."""
    worst, others = check.worst, check.tensors - check.equal
    words = f"check: {check.tensors:,} tensors read back, {check.equal:,} equal"
    if others:
        words += f", {others:,} rounded to {dtype}"
        words += f": at most {worst.absolute:.2g} off, {worst.relative:.2g} of the value"
    words += f", {check.unread:,} could not be compared" if check.unread else ""
    words += f", {check.missing:,} tensors of the input are in no state dict" if check.missing else ""
    return words


def _verdict(check: Check, dtype: str) -> str:
    """What the cast did beyond rounding."""
    found = [
        *([f"{_by_tensor(check.overflowed)} beyond the range of {dtype}"] if check.overflowed else []),
        *([f"{_by_tensor(check.vanished)} became zero"] if check.vanished else []),
        *([f"{count(check.worst.subnormal, 'subnormal number')}"] if check.worst.subnormal else []),
    ]
    words = f"verdict: {'; '.join(found) or 'nothing beyond rounding'}"
    return f"{words}; {count(check.companions, 'companion')} of quantised weights not cast" if check.companions else words


def _by_tensor(counts: tuple[tuple[str, int], ...]) -> str:
    """How many numbers, and in which tensors, the worst first."""
    named = ", ".join(f"{name} {number:,}" for name, number in counts[:MOST_NAMES])
    more = f" and {count(len(counts) - MOST_NAMES, 'more tensor')}" if len(counts) > MOST_NAMES else ""
    return f"{count(sum(number for _, number in counts), 'number')} ({named}{more})"


def _row(label: str, amount: str, more: str = "") -> str:
    return f"  {label:<{LABEL_WIDTH}}{amount:>{SIZE_WIDTH}}   {more}".rstrip()


def recipe_lines() -> Iterator[str]:
    """The recipes, a line each, in the order in which `auto` tries them."""
    width = max(len(recipe.name) for recipe in RECIPES)
    yield from (f"{recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES)
