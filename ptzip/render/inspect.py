"""One file, or one object of it, in the view that was asked for: as lines, or as plain data.

Rule: what was found before an error is given before it is raised.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError, PtzipError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.inspecting.disassembly import opcode_lines
from ptzip.inspecting.records import record_rows
from ptzip.inspecting.tensor_summary import tensor_rows
from ptzip.inspecting.tree_rows import TreeRow, tree_rows
from ptzip.pickling.nodes import Node
from ptzip.render import inspect_json as data
from ptzip.render import inspect_views as views
from ptzip.render.escape import printable
from ptzip.tensors import statistics as values
from ptzip.tensors.tensor import Tensor
from ptzip.text import as_json
from ptzip.tree.children import find_node

NODE, TENSORS, TREE, RECORDS, OPCODES = "node", "tensors", "tree", "records", "opcodes"
WHOLE_FILE = (RECORDS, OPCODES)
"""The views that are of the file and not of an object in it."""

MOST_VALUES = 1000
"""How many values of a tensor are shown unless all are asked for."""


class Question(NamedTuple):
    """What is asked of a file: `path` is the dotted name of a node, "" for the whole."""

    view: str
    path: str = ""
    everything: bool = False
    with_values: bool = False

    def check(self) -> None:
        """Raise EditError where the parts of the question do not go together."""
        if self.path and self.view in WHOLE_FILE:
            raise EditError(f"--{self.view} shows the file, so it does not go with ::{self.path}")
        if self.with_values and (not self.path or self.view != NODE):
            raise EditError("--values shows one tensor, which is named behind the file, as in last.pt::model.0.weight")


def lines(checkpoint: Checkpoint, name: str, asked: Question) -> Iterator[str]:
    """The view as text, below a line with the name of the file."""
    asked.check()
    rows = _rows(checkpoint, asked)
    first = list(itertools.islice(rows, 1))  # what cannot be shown has no title
    yield f"{printable(name)}{'::' + printable(asked.path) if asked.path else ''}:"
    yield from itertools.chain(first, rows)


def _rows(checkpoint: Checkpoint, asked: Question) -> Iterator[str]:
    if asked.view == RECORDS:
        yield from views.record_lines(list(record_rows(checkpoint)))
    elif asked.view == OPCODES:
        yield from _opcodes(checkpoint)
    elif asked.view == TENSORS:
        yield from views.tensor_lines(tensor_rows(_below(checkpoint, asked.path), not asked.everything))
    else:
        tensors = _tensors(checkpoint)
        if asked.view == NODE and asked.path in tensors:
            yield from _one_tensor(tensors[asked.path], asked)
        else:
            yield from views.tree_lines(_tree(checkpoint, tensors, asked), asked.everything)


def answer(checkpoint: Checkpoint, asked: Question) -> dict[str, Any]:
    """The view as plain data."""
    asked.check()
    if asked.view == RECORDS:
        return {"records": data.records_data(record_rows(checkpoint))}
    if asked.view == OPCODES:
        return {"pickles": [_part_data(checkpoint, part) for part in checkpoint.parts]}
    if asked.view == TENSORS:
        return {"tensors": data.weights_data(tensor_rows(_below(checkpoint, asked.path), not asked.everything))}
    tensors = _tensors(checkpoint)
    if asked.view == NODE and asked.path in tensors:
        return _tensor_data(tensors[asked.path], asked)
    return {"tree": data.tree_data(_tree(checkpoint, tensors, asked))}


def _tensors(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """The tensors of a file; none where they cannot be told, which does not keep a tree from being shown."""
    try:
        return checkpoint.tensors()
    except PtzipError:
        return {}


def _tree(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], asked: Question) -> Iterator[TreeRow]:
    if asked.with_values:
        raise EditError(f"{asked.path} is no tensor, so it has no values to show")
    return tree_rows(_node(checkpoint, asked), tensors, asked.everything, asked.path)


def _node(checkpoint: Checkpoint, asked: Question) -> Node:
    """The node that was named: in the first pickle that has it."""
    if not asked.path:
        return checkpoint.root
    fault: PtzipError | None = None
    for part in checkpoint.parts:
        try:
            return find_node(part.root, asked.path).value
        except PtzipError as error:
            fault = fault or error
    raise fault or UnsupportedError(f"this is a {checkpoint.format}, which has no object to look into")


def _below(checkpoint: Checkpoint, path: str) -> Mapping[str, Tensor]:
    """The tensors of that name and below it; raises EditError where there are none."""
    tensors = checkpoint.tensors()
    if not path:
        return tensors
    found = {name: tensor for name, tensor in tensors.items() if name == path or name.startswith(f"{path}.")}
    if not found:
        raise EditError(f"there are no tensors below {path}")
    return found


def _opcodes(checkpoint: Checkpoint) -> Iterator[str]:
    if not checkpoint.parts:
        raise UnsupportedError(f"this is a {checkpoint.format}, which has no pickle of its own")
    for part in checkpoint.parts:
        yield f"  {printable(part.name)}:"
        yield from map(views.opcode_line, opcode_lines(checkpoint, part))
        yield from (f"  {printable(str(anomaly))}" for anomaly in part.pickle.anomalies)


def _part_data(checkpoint: Checkpoint, part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "opcodes": [data.opcode_data(line) for line in opcode_lines(checkpoint, part)],
        "anomalies": [str(anomaly) for anomaly in part.pickle.anomalies],
    }


def _one_tensor(tensor: Tensor, asked: Question) -> Iterator[str]:
    yield from views.statistics_lines(tensor, values.statistics(tensor))
    if asked.with_values:
        most = None if asked.everything else MOST_VALUES
        yield from views.value_lines(values.rows(tensor, most), tensor.numel, most)


def _tensor_data(tensor: Tensor, asked: Question) -> dict[str, Any]:
    found = {"tensor": data.tensor_data(tensor), "statistics": data.statistics_data(values.statistics(tensor))}
    return found | ({"values": as_json(values.listed(tensor))} if asked.with_values else {})
