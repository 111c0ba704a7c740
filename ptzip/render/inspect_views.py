"""The detailed views of `ptzip inspect` as text: tensors, tree, records, opcodes, and one tensor with its values."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ptzip.inspecting.disassembly import PickleOpcodes
from ptzip.inspecting.records import RecordRow
from ptzip.inspecting.size_rows import SizeRow
from ptzip.inspecting.tensor_summary import TensorRow
from ptzip.inspecting.tree_rows import TreeRow
from ptzip.inspecting.view import OpcodesView, RecordsView, SizesView, TensorsView, TensorView, View, ViewContent
from ptzip.mapping.opcode_meanings import OpcodeLine
from ptzip.render.words import (
    BAR,
    LONGEST,
    UNLIMITED,
    bar,
    count,
    cut,
    filled,
    fitted,
    printable,
    shape,
    size,
    some,
    table,
    value,
)
from ptzip.tensors.statistics import Statistics
from ptzip.tensors.tensor import Tensor

if TYPE_CHECKING:
    from ptzip.tensors.spread import Spread

MOST_VALUES = 1000
"""The number of values of a tensor that are printed; `--all` prints all."""

STEP = "  "

BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""The bars of a histogram by height; any value at all is higher than none."""

CONTAINERS = frozenset(("dict", "list", "tuple", "set", "frozenset", "collections.OrderedDict", "collections.defaultdict"))
"""The kinds of which a tree says that they are empty; of other objects it shows only what it knows."""

MOST_OPCODES = 200
"""The number of opcodes of a pickle that are printed; `--all` prints all."""

DEEPEST, DEEPEST_BRANCH = 16, 60
"""Opcodes are indented by no more marks, and branches of a tree by no more levels, since a pickle may have a million."""

WIDEST = 160
"""The length of a line where there is no terminal."""

WIDE = 100
"""From so many columns on, twice as many bytes of an opcode are shown."""


def lines(name: str, view: View, content: ViewContent, width: int = WIDEST, table_width: int = UNLIMITED) -> Iterator[str]:
    """The content of a view below a line with the name of the file; `width` is that of the terminal, `table_width` that of what
    names are cut for.
    """
    yield f"{printable(name)}{'::' + printable(view.path) if view.path else ''}:"
    if isinstance(content, RecordsView):
        yield from record_lines(content.rows, view.everything, width)
    elif isinstance(content, OpcodesView):
        for pickle in content.pickles:
            yield f"  {printable(pickle.name)}:"
            yield from opcode_lines(pickle, view, width)
            yield from (f"  {printable(anomaly)}" for anomaly in pickle.anomalies)
    elif isinstance(content, TensorsView):
        yield from tensor_lines(content.rows, table_width)
    elif isinstance(content, SizesView):
        yield from size_lines(content.rows, table_width)
    elif isinstance(content, TensorView):
        yield from statistics_lines(content.tensor, content.statistics)
        if content.has_values:
            most = None if view.everything else MOST_VALUES
            yield from value_lines(content.value_rows(most), content.tensor.numel, most)
    else:
        yield from tree_lines(content.rows, view.everything)


def tensor_lines(rows: list[TensorRow], width: int = UNLIMITED) -> Iterator[str]:
    """Name, dtype, shape, bytes; how many, where several are one row."""
    if not rows:
        return
    has_groups = any(row.tensors > 1 for row in rows)
    head = ("name", "dtype", "shape", "bytes", *(["tensors"] if has_groups else []))
    lines, above = [head], ""
    for row in rows:
        dtype = row.dtype if row.layout == "strided" else f"{row.dtype} {row.layout}"
        group = [f"{row.tensors:,}"] if has_groups else []
        lines.append(("" if row.name == above else printable(row.name), dtype, shape(row.shape), f"{row.size:,}", *group))
        above = row.name
    yield from table(fitted(lines, width - len(STEP)), right=frozenset({3, 4}))
    yield f"  {count(sum(row.tensors for row in rows), 'tensor')}, {size(sum(row.size for row in rows))}"


def size_lines(rows: list[SizeRow], width: int = UNLIMITED) -> Iterator[str]:
    """The bytes below each path, their share with a bar, and the path."""
    cells = [
        (
            size(row.size),
            f"{row.share * 100:.1f} %",
            bar(row.share, BAR if width >= WIDE else BAR // 2),
            STEP * row.depth + printable(row.name),
            row.kind,
        )
        for row in rows
    ]
    yield from table(cells, right=frozenset({0, 1}))


def tree_lines(rows: Iterable[TreeRow], everything: bool = False) -> Iterator[str]:
    """One line for each node."""
    longest = 1 << 30 if everything else LONGEST
    for row in rows:
        indent = STEP * (min(row.depth, DEEPEST_BRANCH) + 1)
        indent += f"[level {row.depth + 1:,}] " if row.depth > DEEPEST_BRANCH else ""
        if row.hidden:
            yield f"{indent}... {row.hidden:,} more"
        else:
            yield f"{indent}{printable(row.name) + ': ' if row.name else ''}{branch(row, longest)}"


def branch(row: TreeRow, longest: int = LONGEST) -> str:
    """A node in a few words."""
    named = printable(row.kind)
    if row.seen is not None:
        return f"{named}, the same as {printable(row.seen) or 'the whole'}"
    if row.tensor is not None:
        return tensor_words(row.tensor)
    if row.below is None:
        return value(row.value, longest) if row.value is not None else named
    given = f"({', '.join(value(item, longest) for item in row.value)})" if isinstance(row.value, tuple) else ""
    is_empty = not given and named in CONTAINERS
    return f"{named}{cut(given, longest)}" + (f" of {row.below:,}" if row.below else ", empty" if is_empty else "")


def tensor_words(tensor: Tensor) -> str:
    """A tensor in a few words: "float32 [16, 3, 3, 3], Parameter"."""
    words = [f"{tensor.dtype} {shape(tensor.shape)}"]
    words += [tensor.layout] if tensor.layout != "strided" else []
    words += [tensor.device] if tensor.device not in ("", "cpu") else []
    words += [printable(tensor.class_path.rpartition(".")[2])] if tensor.class_path not in ("", "torch.Tensor") else []
    words += ["requires grad"] if tensor.requires_grad else []
    return ", ".join(words)


def record_lines(rows: list[RecordRow], everything: bool = False, width: int = WIDEST) -> Iterator[str]:
    """The offset, size and use of each record; below it, where its headers differ. `everything` has all columns."""
    columns = [(title, cell) for title, cell, is_shown in RECORD_COLUMNS if everything or is_shown(rows)]
    cells = [tuple(title for title, _ in columns), *(tuple(cell(row) for _, cell in columns) for row in rows)]
    right = frozenset(index for index, (title, _) in enumerate(columns) if title not in TEXT_COLUMNS)
    shown = [cut(line, width) for line in table(cells, right)]
    yield shown[0]
    for row, line in zip(rows, shown[1:], strict=True):
        yield line
        yield from (
            f"    {each.field}: {printable(each.central)} in the central directory, {printable(each.local)} in the file"
            for each in row.differences
        )


def _named(row: RecordRow) -> str:
    return printable(row.name) + (f"  ({printable(row.note)})" if row.note else "")


RecordColumn = tuple[str, Callable[[RecordRow], str], Callable[[list[RecordRow]], bool]]

RECORD_COLUMNS: tuple[RecordColumn, ...] = (
    ("header", lambda row: "" if row.header is None else str(row.header), lambda rows: False),
    ("offset", lambda row: str(row.offset), lambda rows: True),
    ("size", lambda row: str(row.size), lambda rows: True),
    ("aligned", lambda row: str(row.alignment), lambda rows: False),
    ("stored", lambda row: str(row.stored or 0), lambda rows: any(row.stored not in (None, row.size) for row in rows)),
    ("method", lambda row: row.method or "", lambda rows: any(row.method not in (None, "stored") for row in rows)),
    ("crc", lambda row: f"{row.crc or 0:08x}", lambda rows: False),
    ("name", _named, lambda rows: True),
    ("used by", lambda row: some(map(printable, row.users)), lambda rows: any(row.users for row in rows)),
)
"""The title of each column, its cell in a row, and whether it says anything of some rows."""

TEXT_COLUMNS = frozenset(("method", "crc", "name", "used by"))


def opcode_lines(pickle: PickleOpcodes, view: View, width: int) -> Iterator[str]:
    """The opcodes of a pickle; of many the first ones, and how to see more."""
    outer = 0
    for shown, line in enumerate(pickle.lines, 1):
        if shown == 1:
            outer = line.marks
        if shown > MOST_OPCODES and not view.everything:
            left = f"{pickle.total - MOST_OPCODES:,} " if pickle.total is not None else ""
            yield f"  ... {left}more opcodes (--all shows them; ::PATH those of an object, --within OFFSET:LENGTH those there)"
            return
        yield opcode_line(line, view.with_stack, width, outer)
        if view.with_stack:
            yield cut(f"{'':>11}[{', '.join(map(printable, reversed(line.stack)))}]", width)


def opcode_line(line: OpcodeLine, has_stack: bool, width: int, outer: int = 0) -> str:
    """One opcode: where, its bytes, its argument, and what that means; it is indented by the marks inside of `outer` ones."""
    most = 4 if width < WIDE else 8
    raw = line.raw[:most].hex(" ") + (".." if line.length > most else "")
    argument = line.argument if not isinstance(line.argument, tuple) else " ".join(line.argument)
    indent = STEP * min(max(line.marks - outer, 0), DEEPEST)
    depth = f"{line.before:>4}>{line.after:<4} " if has_stack else ""
    shown = f"{line.offset:>9}: {raw:<{3 * most + 1}} {depth}{indent}{line.op}"
    shown += f" {value(argument)}" if argument is not None else ""
    shown += f"  # {printable(line.meaning)}" if line.meaning else ""
    return cut(shown, width).rstrip()


def statistics_lines(tensor: Tensor, found: Statistics) -> Iterator[str]:
    """The values of a tensor in numbers."""
    yield f"  {tensor_words(tensor)}, {count(tensor.nbytes, 'byte')}"
    storage = f"storage {printable(tensor.storage.key)}, offset {tensor.offset}" if tensor.storage else "no storage"
    yield f"  {storage}, stride {shape(tensor.stride)}"
    rows = (("min", found.minimum), ("max", found.maximum), ("mean", found.mean))
    yield from (f"  {word:<10}{_number(number)}" for word, number in rows if number is not None)
    yield from _spread_lines(found.spread)
    yield from (
        f"  {word:<10}{number:,}"
        for word, number in (("NaN", found.nans), ("Inf", found.infinities), ("zeros", found.zeros), ("values", found.numel))
    )


def _spread_lines(found: "Spread | None") -> Iterator[str]:
    """How the values are spread, with a histogram from the smallest to the largest."""
    if found is None:
        return
    yield f"  {'std':<10}{_number(found.deviation)}"
    shares = (f"{percent} % {number:.4g}" for percent, number in zip(found.percents, found.percentiles, strict=True))
    yield from filled(shares, f"  {'quantiles':<10}")
    if len(found.histogram) > 1:
        most = max(found.histogram)
        bars = "".join(BARS[-(-number * (len(BARS) - 1) // most)] for number in found.histogram)
        yield f"  {'histogram':<10}{bars}"
    for word, number in (("overflow", found.overflowing), ("underflow", found.vanishing)):
        if number:
            yield f"  {word:<10}{number:,} in float16"


def _number(number: object) -> str:
    return f"{number:.9g}" if isinstance(number, float | complex) else str(number)


def value_lines(rows: Iterable[tuple[tuple[int, ...], list[Any]]], numel: int, most: int | None) -> Iterator[str]:
    """The values, row by row, each after its index."""
    for index, numbers in rows:
        yield from filled(map(_number, numbers), f"  {shape(index)} ")
    if most is not None and numel > most:
        yield f"  ... {numel - most:,} more values (--all shows them)"
