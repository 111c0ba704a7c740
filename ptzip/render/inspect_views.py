"""The detailed views of `ptzip inspect` as text: tensors, tree, records, opcodes, and one tensor with its values.

What was found before an error is printed before the error is raised.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from ptzip.checkpoint import Checkpoint
from ptzip.errors import UnsupportedError
from ptzip.inspecting.disassembly import OpcodeLine, opcode_lines
from ptzip.inspecting.records import RecordRow, record_rows
from ptzip.inspecting.tensor_summary import TensorRow, tensor_rows
from ptzip.inspecting.tree_rows import TreeRow
from ptzip.inspecting.view import NODE, OPCODES, RECORDS, TENSORS, View, readable_tensors, tensors_below, tree
from ptzip.render.escape import printable
from ptzip.render.words import LONGEST, count, cut, filled, shape, size, table, value
from ptzip.tensors import statistics
from ptzip.tensors.statistics import Statistics
from ptzip.tensors.tensor import Tensor

MOST_VALUES = 1000
"""The number of values of a tensor that are printed; `--all` prints all."""

STEP = "  "


def lines(checkpoint: Checkpoint, name: str, view: View) -> Iterator[str]:
    """The view below a line with the name of the file."""
    view.check()
    rows = _rows(checkpoint, view)
    first = list(itertools.islice(rows, 1))  # a view that fails has no title
    yield f"{printable(name)}{'::' + printable(view.path) if view.path else ''}:"
    yield from itertools.chain(first, rows)


def _rows(checkpoint: Checkpoint, view: View) -> Iterator[str]:
    if view.kind == RECORDS:
        yield from record_lines(list(record_rows(checkpoint)))
    elif view.kind == OPCODES:
        yield from _opcodes(checkpoint)
    elif view.kind == TENSORS:
        yield from tensor_lines(tensor_rows(tensors_below(checkpoint, view.path), not view.everything))
    else:
        tensors = readable_tensors(checkpoint)
        if view.kind == NODE and view.path in tensors:
            yield from _one_tensor(tensors[view.path], view)
        else:
            yield from tree_lines(tree(checkpoint, tensors, view), view.everything)


def _opcodes(checkpoint: Checkpoint) -> Iterator[str]:
    if not checkpoint.parts:
        raise UnsupportedError(f"this is a {checkpoint.format}, which has no pickle of its own")
    for part in checkpoint.parts:
        yield f"  {printable(part.name)}:"
        yield from map(opcode_line, opcode_lines(checkpoint, part))
        yield from (f"  {printable(str(anomaly))}" for anomaly in part.pickle.anomalies)


def _one_tensor(tensor: Tensor, view: View) -> Iterator[str]:
    yield from statistics_lines(tensor, statistics.statistics(tensor))
    if view.with_values:
        most = None if view.everything else MOST_VALUES
        yield from value_lines(statistics.rows(tensor, most), tensor.numel, most)


def tensor_lines(rows: list[TensorRow]) -> Iterator[str]:
    """Name, dtype, shape, bytes; how many, where several are one row."""
    if not rows:
        return
    has_groups = any(row.tensors > 1 for row in rows)
    head = ("name", "dtype", "shape", "bytes", *(["tensors"] if has_groups else []))
    lines = [head]
    for row in rows:
        dtype = row.dtype if row.layout == "strided" else f"{row.dtype} {row.layout}"
        group = [f"{row.tensors:,}"] if has_groups else []
        lines.append((printable(row.name), dtype, shape(row.shape), f"{row.size:,}", *group))
    yield from table(lines, right=frozenset({3, 4}))
    yield f"  {count(sum(row.tensors for row in rows), 'tensor')}, {size(sum(row.size for row in rows))}"


def tree_lines(rows: Iterable[TreeRow], everything: bool = False) -> Iterator[str]:
    """One line for each node."""
    longest = 1 << 30 if everything else LONGEST
    for row in rows:
        indent = STEP * (row.depth + 1)
        if row.hidden:
            yield f"{indent}... {row.hidden:,} more"
        else:
            yield f"{indent}{printable(row.name) + ': ' if row.name else ''}{_branch(row, longest)}"


def _branch(row: TreeRow, longest: int) -> str:
    named = printable(row.kind)
    if row.seen is not None:
        return f"{named}, the same as {printable(row.seen) or 'the whole'}"
    if row.tensor is not None:
        return tensor_words(row.tensor)
    if row.below is None:
        return value(row.value, longest) if row.value is not None else named
    given = f"({', '.join(value(item, longest) for item in row.value)})" if isinstance(row.value, tuple) else ""
    return f"{named}{cut(given, longest)}" + (f" of {row.below:,}" if row.below else "" if given else ", empty")


def tensor_words(tensor: Tensor) -> str:
    """A tensor in a few words: "float32 [16, 3, 3, 3], Parameter"."""
    words = [f"{tensor.dtype} {shape(tensor.shape)}"]
    words += [tensor.layout] if tensor.layout != "strided" else []
    words += [tensor.device] if tensor.device not in ("", "cpu") else []
    words += [printable(tensor.class_path.rpartition(".")[2])] if tensor.class_path not in ("", "torch.Tensor") else []
    words += ["requires grad"] if tensor.requires_grad else []
    return ", ".join(words)


def record_lines(rows: list[RecordRow]) -> Iterator[str]:
    """The offset of each record; below it, where its headers differ."""
    is_zip = any(row.header is not None for row in rows)
    head = ("offset", "size", "aligned", *(("stored", "method", "crc") if is_zip else ()), "name")
    lines: list[tuple[str, ...]] = [head, *(_record(row, is_zip) for row in rows)]
    shown = list(table(lines, right=frozenset({0, 1, 2, 3} if is_zip else {0, 1, 2})))
    yield shown[0]
    for row, line in zip(rows, shown[1:], strict=True):
        yield line
        yield from (
            f"    {each.field}: {printable(each.central)} in the central directory, {printable(each.local)} in the file"
            for each in row.differences
        )


def _record(row: RecordRow, is_zip: bool) -> tuple[str, ...]:
    stored = (str(row.stored), row.method or "", f"{row.crc or 0:08x}") if is_zip else ()
    note = f"  ({printable(row.note)})" if row.note else ""
    return (str(row.offset), str(row.size), str(row.alignment), *stored, printable(row.name) + note)


def opcode_line(line: OpcodeLine) -> str:
    """One opcode: where, what, its argument, and what that means."""
    argument = "" if line.argument is None else " " + value(_spelled(line.argument))
    meaning = f"  # {cut(line.meaning, 120)}" if line.meaning else ""
    return f"{line.offset:>8}: {line.op:<16}{argument}{meaning}".rstrip()


def _spelled(argument: object) -> object:
    return " ".join(argument) if isinstance(argument, tuple) else argument


def statistics_lines(tensor: Tensor, found: Statistics) -> Iterator[str]:
    """The values of a tensor in numbers."""
    yield f"  {tensor_words(tensor)}, {count(tensor.nbytes, 'byte')}"
    place = f"storage {printable(tensor.storage.key)}, offset {tensor.offset}" if tensor.storage else "no storage"
    yield f"  {place}, stride {shape(tensor.stride)}"
    rows = (("min", found.minimum), ("max", found.maximum), ("mean", found.mean))
    yield from (f"  {word:<10}{_number(number)}" for word, number in rows if number is not None)
    yield from (
        f"  {word:<10}{number:,}"
        for word, number in (("NaN", found.nans), ("Inf", found.infinities), ("zeros", found.zeros), ("values", found.numel))
    )


def _number(number: object) -> str:
    return f"{number:.9g}" if isinstance(number, float | complex) else str(number)


def value_lines(rows: Iterable[tuple[tuple[int, ...], list[Any]]], numel: int, most: int | None) -> Iterator[str]:
    """The values, row by row, each behind its place."""
    for place, numbers in rows:
        yield from filled(map(_number, numbers), f"  {shape(place)} ")
    if most is not None and numel > most:
        yield f"  ... {numel - most:,} more values (--all shows them)"
