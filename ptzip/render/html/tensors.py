"""All tensors of a file as a table, with their statistics where they were wanted."""

from collections.abc import Mapping

from ptzip.inspecting.tensor_uses import TensorUse, TensorUses
from ptzip.render.html.page import Section
from ptzip.render.html.tables import column, table
from ptzip.render.words import shape
from ptzip.tensors.statistics import Statistics
from ptzip.text import TOP_LEVEL

MOST_ROWS = 100_000
"""The first so many tensors are listed."""

COLUMNS = (
    column("name", "name"),
    column("dtype", "short"),
    column("shape", "short"),
    column("bytes", "bytes"),
    column("share", "share", "Of the file; bytes that several tensors use count for the first of them"),
    column("kind", "short", "What slim takes the tensor for"),
)
REMARK = column("remark", "text")

STATISTICS = (
    column("min", "number", "Of the finite values, as maximum, mean and deviation"),
    column("max", "number"),
    column("mean", "number"),
    column("std", "number"),
    column("zeros", "number"),
    column("NaN", "number"),
    column("Inf", "number"),
    column("overflow", "percent", "Share of finite values that float16 has no finite number for"),
    column("underflow", "percent", "Share of values other than 0 that become 0 in float16"),
    column("histogram", "histogram", "Of the finite values, from the smallest to the largest"),
)


def tensor_section(uses: TensorUses, marks: Mapping[str, str], statistics: Mapping[str, Statistics], file_size: int) -> Section:
    """The table; `marks` are what the bytes of each tensor are, by name."""
    shown = uses.tensors[:MOST_ROWS]
    columns = [*COLUMNS, *(STATISTICS if statistics else ()), REMARK]
    rows = (
        [*_cells(use, marks[use.name], file_size), *_numbers(statistics.get(use.name), bool(statistics)), _remark(use)]
        for use in shown
    )
    notes = (
        []
        if statistics
        else ["--stats, which reads every tensor, adds statistics of the values, and norms and distributions by layer."]
    )
    if len(shown) < len(uses.tensors):
        notes.append(f"The first {len(shown):,} of {len(uses.tensors):,} tensors.")
    return table("Tensors", columns, rows, " ".join(notes))


def _cells(use: TensorUse, kind: str, file_size: int) -> list[object]:
    tensor = use.tensor
    cells: list[object] = [use.name or TOP_LEVEL, tensor.dtype, shape(tensor.shape), tensor.nbytes]
    return [*cells, use.own / max(file_size, 1), kind]


def _remark(use: TensorUse) -> str:
    words = [use.tensor.layout] if use.tensor.layout != "strided" else []
    words += [f"shares {use.shared}"] if use.shared else []
    words += [f"the same bytes as {use.duplicate}"] if use.duplicate else []
    words += [f"on {use.tensor.device}"] if use.tensor.device not in ("", "cpu") else []
    return ", ".join(words)


def _numbers(found: Statistics | None, are_wanted: bool) -> list[object]:
    if found is None:
        return [None] * len(STATISTICS) if are_wanted else []
    spread = found.spread
    counts: list[object] = [found.zeros, found.nans, found.infinities]
    ends = [found.minimum, found.maximum, found.mean if not isinstance(found.mean, complex) else None]
    if spread is None:
        return [*ends, None, *counts, None, None, None]
    finite = max(spread.numel, 1)
    return [*ends, spread.deviation, *counts, spread.overflowing / finite, spread.vanishing / finite, spread.histogram]
