"""The report of `ptzip diff` as text: what only one file has, the largest errors of casts, and what else differs."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from ptzip.diffing.report import Changed, DiffReport, LoneTensor, Moved, NumericDifference, Only, TensorDiff
from ptzip.render.words import UNLIMITED, count, fitted, printable, size
from ptzip.text import TOP_LEVEL

MOST_SHOWN = 20
"""The number of rows of a kind that are printed; `--all` and JSON have all."""

WIDTH, INDENT = 24, "    "
"""The least width of the first column of a table, and what is before it."""

Rows = Sequence[tuple[str, ...]]
"""The cells of a table, row by row."""


def lines(report: DiffReport, everything: bool = False, width: int = UNLIMITED) -> Iterator[str]:
    """A line that says how much differs, and the details below, as tables; that of the tensors fits the width."""
    yield printable(summary(report))
    most = None if everything else MOST_SHOWN
    for title, rows in (
        ("only in A", _only(report.only_a, report.lone_a)),
        ("only in B", _only(report.only_b, report.lone_b)),
        ("moved (recognised by length and CRC)", _moved(report.moved)),
        ("casts", _casts(report.tensors)),
        ("tensor attributes", _facts(report.tensors)),
        ("values", list(map(_changed, report.changed)) if everything else list(_alike(report.changed))),
        ("could not be compared", [(pair.name, pair.problem) for pair in report.unknown]),
        ("tensors that differ most", _fitting(_differing(report.differing), most, width - len(INDENT))),
    ):
        if rows:
            yield f"  {title}"
            yield from (f"{INDENT}{row}" for row in _table(rows, most))
    yield from (f"  {printable(note)}" for note in report.notes)
    yield from (f"  {printable(hint)}" for hint in _hints(report))


def summary(report: DiffReport) -> str:
    """How much differs, in a line."""
    pair = f"{report.a} and {report.b}"
    near = report.compared - report.equal
    if report.ok:
        return f"{pair} are the same: {count(report.compared, 'tensor')}" + (
            f", {near:,} of them within the tolerance" if near else ""
        )
    if not report.differs:
        return f"{pair} could not be compared completely"
    different, values = len(report.differing), len(report.changed)
    words = [f"{different:,} of {count(report.compared, 'tensor')}"] if different else []
    words += [f"{len(report.lone_a):,} only in A"] if report.lone_a else []
    words += [f"{len(report.lone_b):,} only in B"] if report.lone_b else []
    words += [f"{len(report.moved):,} moved"] if report.moved else []
    values += sum(not row.tensors for row in (*report.only_a, *report.only_b))
    words += [count(values, "value")] if values else []
    return f"{pair} differ: {', '.join(words) or 'parts without tensors'}"


def _table(rows: Rows, most: int | None) -> Iterator[str]:
    """Rows in aligned columns."""
    limit = None if most is None else most + (set(rows[0]) <= set(HEAD))
    shown = [tuple(map(printable, row)) for row in rows[:limit]]
    widths = [max(len(row[column]) for row in shown if len(row) > column) for column in range(max(map(len, shown)))]
    widths[0] = max(WIDTH, widths[0])
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
    if len(rows) > len(shown):
        yield f"... {len(rows) - len(shown):,} more (--all shows them)"


class Group:
    """What only one of the files has below a top-level key."""

    def __init__(self) -> None:
        self.tensors = self.size = 0
        self.values = list[Only]()

    def cells(self, key: str) -> tuple[str, ...]:
        if not self.tensors and len(self.values) == 1:
            return self.values[0].name or TOP_LEVEL, self.values[0].what
        words = [count(self.tensors, "tensor"), size(self.size)] if self.tensors else []
        return key or TOP_LEVEL, ", ".join([*words, *([count(len(self.values), "value")] if self.values else [])])


def _only(rows: Iterable[Only], lone: Iterable[LoneTensor]) -> Rows:
    """A row for each top-level key."""
    groups: dict[str, Group] = {}
    for tensor in lone:
        group = groups.setdefault(_key(tensor.name), Group())
        group.tensors, group.size = group.tensors + 1, group.size + tensor.form.size
    for row in rows:
        if not row.tensors:
            groups.setdefault(_key(row.name), Group()).values.append(row)
    return [group.cells(key) for key, group in groups.items()]


def _key(name: str) -> str:
    return name.partition(".")[0]


def _moved(moved: Iterable[Moved]) -> Rows:
    """A row for each prefix of names that changed."""
    counts: dict[tuple[str, str], int] = {}
    for each in moved:
        old, new = each.old_name.split("."), each.name.split(".")
        while old and new and old[-1] == new[-1]:
            old.pop()
            new.pop()
        prefixes = ".".join(old), ".".join(new)
        counts[prefixes] = counts.get(prefixes, 0) + 1
    return [(f"{old or TOP_LEVEL} -> {new or TOP_LEVEL}", count(number, "tensor")) for (old, new), number in counts.items()]


def _casts(tensors: Iterable[TensorDiff]) -> Rows:
    """A row for each pair of dtypes: the number of tensors and their largest errors."""
    groups: dict[tuple[str, str], list[NumericDifference]] = {}
    for pair in tensors:
        if pair.is_cast and pair.numbers is not None:
            groups.setdefault((pair.old.dtype, pair.new.dtype), []).append(pair.numbers)
    return [(f"{old} -> {new}", count(len(found), "tensor"), _worst(found)) for (old, new), found in groups.items()]


def _worst(found: list[NumericDifference]) -> str:
    if not any(numbers.differing for numbers in found):
        return "with the same numbers"
    absolute, relative = (max(values) for values in zip(*((each.absolute, each.relative) for each in found), strict=True))
    words = f"at most {absolute:.2g} off, {relative:.2g} of the value"
    cosines = [numbers.cosine for numbers in found if numbers.cosine is not None]
    words += f", cosine at least {_cosine(min(cosines))}" if cosines else ""
    lone = sum(numbers.lone for numbers in found)
    return words + (f", {lone:,} finite in only one file" if lone else "")


ROUNDING = 1e-13
"""The largest error of a cosine computed in float64."""


def _cosine(value: float | None) -> str:
    """Rounded down, so that 1 is printed only for what equals 1 within the precision of float64."""
    return "" if value is None else f"{math.floor((value + ROUNDING) * 1e8) / 1e8:.8f}"


def _facts(tensors: Iterable[TensorDiff]) -> Rows:
    """A row for each attribute of tensors that changed."""
    counts: dict[tuple[str, str], int] = {}
    for pair in tensors:
        for fact in pair.facts:
            change = fact.what, f"{fact.old} -> {fact.new}"
            counts[change] = counts.get(change, 0) + 1
    return [(what, change, count(number, "tensor")) for (what, change), number in counts.items()]


def _changed(row: Changed) -> tuple[str, ...]:
    below = f" (with {count(row.tensors, 'tensor')}, {size(row.size)})" if row.tensors else ""
    return row.name or TOP_LEVEL, f"{row.old} -> {row.new}{below}"


FEW = 100
"""Of fewer numbers the count is shown, of more the share."""

ALIKE = 3
"""From so many equal changes on, names that differ only in their numbers are one row."""

NUMBER = re.compile(r"\d+")


def _alike(changed: Sequence[Changed]) -> Iterator[tuple[str, ...]]:
    """A row for each change; equal ones of many names are one row, with # for the numbers in the names."""
    groups: dict[tuple[str, str, str], list[Changed]] = {}
    for row in changed:
        groups.setdefault((NUMBER.sub("#", row.name), row.old, row.new), []).append(row)
    for (name, *_), rows in groups.items():
        if len(rows) < ALIKE:
            yield from map(_changed, rows)
        else:
            _, change, *_ = _changed(rows[0])
            yield name, change, f"{len(rows):,} times"


def _hints(report: DiffReport) -> Iterator[str]:
    """The --map that pairs what is only in A, or was moved, with tensors of B under another top-level key."""
    old, new = dict[str, set[str]](), dict[str, set[str]]()
    moved = [(one.old_name, one.name) for one in report.moved]
    for name in [*(one.name for one in report.lone_a), *(name for name, _ in moved)]:
        old.setdefault(_key(name), set()).add(name.partition(".")[2])
    paired = [pair.name for pair in report.tensors]
    for name in [*(one.name for one in report.lone_b), *(name for _, name in moved), *paired]:
        new.setdefault(_key(name), set()).add(name.partition(".")[2])
    for key, names in old.items():
        best = max(new, key=lambda other: len(new[other] & names), default="")
        if best != key and 2 * len(new.get(best, set()) & names) > len(names):
            yield f"--map {key}={best} compares the tensors of {key} in A with those of {best} in B"


HEAD = ("name", "dtype", "shape", "absolute", "relative", "cosine", "differ")

SPARE = ("dtype", "cosine", "relative", "shape")
"""The columns that a narrow table does without, in this order: casts and attributes have rows of their own."""


def _differing(tensors: Iterable[TensorDiff]) -> Rows:
    """A row for each tensor whose values or form differ: those of other shapes first, then by the largest difference."""
    found = [pair for pair in tensors if not pair.problem and (not pair.are_near or pair.old != pair.new) and _is_visible(pair)]
    found.sort(key=lambda pair: -(pair.numbers.absolute if pair.numbers else 0.0 if pair.are_equal else math.inf))
    return [HEAD, *map(_row, found)] if found else []


def _is_visible(pair: TensorDiff) -> bool:
    """Whether a tensor has other numbers, or another shape; another dtype with the same numbers is in the rows of casts."""
    numbers = pair.numbers
    return numbers is None or bool(numbers.differing or numbers.lone) or pair.old.shape != pair.new.shape


def _row(pair: TensorDiff) -> tuple[str, ...]:
    name = pair.name if pair.name == pair.old_name else f"{pair.old_name} -> {pair.name}"
    dtype, shape = change(pair.old.dtype, pair.new.dtype), change(str(list(pair.old.shape)), str(list(pair.new.shape)))
    if pair.old.layout != pair.new.layout:
        dtype += f" {change(pair.old.layout, pair.new.layout)}"
    numbers = pair.numbers
    if numbers is None:
        return name or TOP_LEVEL, dtype, shape
    differ = _share(numbers.differing, numbers.numel)
    differ += f", {numbers.lone:,} finite in only one file" if numbers.lone else ""
    return (
        name or TOP_LEVEL,
        dtype,
        shape,
        f"{numbers.absolute:.2g}",
        f"{numbers.relative:.2g}",
        _cosine(numbers.cosine),
        differ,
    )


def _share(part: int, whole: int) -> str:
    """A part of the numbers of a tensor, rounded, but never to none or all of them."""
    return (
        "all" if part == whole else f"{part} of {whole}" if whole < FEW else f"{min(max(part / whole * 100, 0.1), 99.9):.1f} %"
    )


def _fitting(rows: Rows, most: int | None, width: int) -> Rows:
    """The table of tensors without the columns for which there is no room, and with long names cut in the middle."""
    for name in SPARE:
        if not rows or max(map(len, _table(rows, most))) <= width:
            return rows
        at = rows[0].index(name)
        rows = [row[:at] + row[at + 1 :] for row in rows]
    return fitted(rows, width)


def change(old: str, new: str) -> str:
    """What is equal in both files once, and else both."""
    return old if old == new else f"{old} -> {new}"
