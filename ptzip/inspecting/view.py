"""The detailed views of `ptzip inspect`: what they show, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError, PtzipError
from ptzip.globs import Patterns
from ptzip.inspecting.disassembly import PickleOpcodes, disassembled, find_in
from ptzip.inspecting.records import RecordRow, used_rows
from ptzip.inspecting.size_rows import SizeRow, size_rows
from ptzip.inspecting.tensor_summary import TensorRow, tensor_rows
from ptzip.inspecting.tensor_uses import tensor_uses
from ptzip.inspecting.tree_rows import TreeRow, tree_rows
from ptzip.json_output import report_dict
from ptzip.mapping.opcode_meanings import OpcodeLine
from ptzip.mapping.where import Where
from ptzip.tensors import statistics
from ptzip.tensors.statistics import Statistics
from ptzip.tensors.tensor import Tensor
from ptzip.text import as_json, did_you_mean

SIZE_DEPTH = 3
"""The depth of a tree of sizes unless another is given."""

NODE, TENSORS, TREE, RECORDS, OPCODES = "node", "tensors", "tree", "records", "opcodes"
WHOLE_FILE = (RECORDS,)
"""The views of the file, not of an object in it."""


class View(NamedTuple):
    """A view of a file: `path` is the dotted path of a node, "" for the whole object; `within` is what of the pickles is shown,
    None for all, `depth` the levels of a tree.
    """

    kind: str
    path: str = ""
    everything: bool = False
    with_values: bool = False
    with_stack: bool = False
    within: Where | None = None
    with_sizes: bool = False
    depth: int | None = None
    by_size: bool = False

    def check(self) -> None:
        """Raise EditError where options contradict one another."""
        if self.path and self.kind in WHOLE_FILE:
            raise EditError(f"--{self.kind} shows the whole file: remove ::{self.path}")
        if self.with_values and (not self.path or self.kind != NODE):
            raise EditError("--values shows one tensor: name it behind the file, as in last.pt::model.0.weight")
        if (self.with_stack or self.within) and self.kind != OPCODES:
            raise EditError("--stack and --within are about --opcodes: add that")


class RecordsView(NamedTuple):
    """The records of a file."""

    rows: list[RecordRow]

    def to_dict(self) -> dict[str, Any]:
        return {
            "records": [
                row._asdict()
                | {
                    "alignment": row.alignment,
                    "differences": [one._asdict() for one in row.differences],
                    "users": list(row.users),
                }
                for row in self.rows
            ]
        }


class OpcodesView(NamedTuple):
    """The pickles of a file."""

    pickles: Iterable[PickleOpcodes]

    def to_dict(self) -> dict[str, Any]:
        return {
            "pickles": [
                {
                    "name": pickle.name,
                    "opcodes": [opcode_dict(line) for line in pickle.lines],
                    "anomalies": list(pickle.anomalies),
                }
                for pickle in self.pickles
            ]
        }


class TensorsView(NamedTuple):
    """The tensors of a file, or those below a path."""

    rows: list[TensorRow]

    def to_dict(self) -> dict[str, Any]:
        fields = ("name", "dtype", "shape", "bytes", "layout", "tensors")
        return {"tensors": [dict(zip(fields, row, strict=True)) for row in self.rows]}


class TensorView(NamedTuple):
    """One tensor in numbers, and with its values if they are wanted."""

    tensor: Tensor
    statistics: Statistics
    has_values: bool

    def value_rows(self, most: int | None) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
        """The first `most` values, row by row, each with its position; none unless they are wanted."""
        return statistics.rows(self.tensor, most) if self.has_values else iter(())

    def to_dict(self) -> dict[str, Any]:
        spread = self.statistics.spread
        found = {name: as_json(value) for name, value in self.statistics._replace(spread=None)._asdict().items()}
        found |= {"spread": spread._asdict() if spread else None}
        values = {"values": as_json(statistics.listed(self.tensor))} if self.has_values else {}
        return {"tensor": _tensor(self.tensor), "statistics": found} | values


class SizesView(NamedTuple):
    """The bytes of tensors by module."""

    rows: list[SizeRow]

    def to_dict(self) -> dict[str, Any]:
        return {"sizes": [row._asdict() for row in self.rows]}


class TreeView(NamedTuple):
    """The object at a path."""

    rows: Iterator[TreeRow]

    def to_dict(self) -> dict[str, Any]:
        return {"tree": [_branch(row) for row in self.rows]}


ViewContent = RecordsView | OpcodesView | TensorsView | TensorView | SizesView | TreeView


def view_dict(checkpoint: Checkpoint, view: View) -> dict[str, Any]:
    """What `--json` prints of a view."""
    content = view_content(checkpoint, view).to_dict()
    return report_dict(True, path=checkpoint.source.name) | ({"node": view.path} if view.path else {}) | content


def view_content(checkpoint: Checkpoint, view: View) -> ViewContent:
    """What a view shows. Raises EditError for a path that is not there, UnsupportedError where there is nothing to show."""
    view.check()
    if view.kind == RECORDS:
        return RecordsView(list(used_rows(checkpoint)))
    if view.kind == OPCODES:
        return OpcodesView(disassembled(checkpoint, view.path, view.within))
    if view.kind == TENSORS:
        return TensorsView(tensor_rows(_tensors_below(checkpoint, view.path), not view.everything))
    if view.with_sizes:
        depth = SIZE_DEPTH if view.depth is None else view.depth
        return SizesView(list(size_rows(tensor_uses(_tensors_below(checkpoint, view.path)), depth, view.by_size)))
    tensors = readable_tensors(checkpoint)
    if view.kind == NODE and view.path in tensors:
        tensor = tensors[view.path]
        return TensorView(tensor, statistics.statistics(tensor), view.with_values)
    if view.with_values:
        raise EditError(f"{view.path} is not a tensor, so it has no values to show")
    if matching := _matching(tensors, view.path):
        return TensorsView(tensor_rows(matching, folded=False))
    node = find_in(checkpoint, view.path)[1] if view.path else checkpoint.root
    rows = tree_rows(node, tensors, view.everything, view.path, checkpoint.limits.paths, view.depth)
    return TreeView(rows)


def opcode_dict(line: OpcodeLine) -> dict[str, Any]:
    """An opcode; `stack` are the numbers of values and marks on the stack before and after it."""
    fields = {"offset": line.offset, "opcode": line.op, "argument": as_json(line.argument), "meaning": line.meaning}
    where = {"inside": line.inside} if line.inside else {}
    return fields | where | {"bytes": line.length, "marks": line.marks, "stack": [line.before, line.after]}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    """A tensor without its values."""
    return {
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "stride": list(tensor.stride),
        "offset": tensor.offset,
        "bytes": tensor.nbytes,
        "requires_grad": tensor.requires_grad,
        "storage": tensor.storage.key if tensor.storage else None,
        "layout": tensor.layout,
        "device": tensor.device,
        "class": tensor.class_path,
    }


def _branch(row: TreeRow) -> dict[str, Any]:
    """A row of the tree without what is None."""
    fields = {
        "depth": row.depth,
        "name": row.name,
        "kind": row.kind,
        "value": as_json(row.value),
        "below": row.below,
        "tensor": _tensor(row.tensor) if row.tensor else None,
        "same_as": row.seen,
        "hidden": row.hidden or None,
    }
    return {name: value for name, value in fields.items() if value is not None or name == "kind"}


def readable_tensors(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """The tensors of a file; none where a broken pickle hides them, since the tree can be shown even then."""
    try:
        return checkpoint.tensors()
    except PtzipError:
        return {}


def _tensors_below(checkpoint: Checkpoint, path: str) -> Mapping[str, Tensor]:
    """The tensors at a path and below it. Raises EditError where there are none."""
    tensors = checkpoint.tensors()
    below = {name: tensor for name, tensor in tensors.items() if name == path or name.startswith(f"{path}.")}
    found = below or _matching(tensors, path)
    if path and not found:
        raise EditError(f"there are no tensors below {path}{did_you_mean(path, _prefixes(tensors))}")
    return found if path else tensors


def _matching(tensors: Mapping[str, Tensor], glob: str) -> Mapping[str, Tensor]:
    """The tensors whose names a glob matches; none for a path without wildcards, or that is itself a part of names."""
    if not set(glob) & set("*?[") or any(name.startswith(f"{glob}.") for name in tensors):
        return {}
    patterns = Patterns([glob])
    return {name: tensor for name, tensor in tensors.items() if patterns.match(name)}


def _prefixes(names: Iterable[str]) -> set[str]:
    """What names of tensors begin with, in whole parts."""
    parts = (name.split(".") for name in names)
    return {".".join(words[:count]) for words in parts for count in range(1, len(words) + 1)}
