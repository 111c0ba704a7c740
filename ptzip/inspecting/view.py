"""The detailed views of `ptzip inspect`: what they are of, and their rows as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError, PtzipError, UnsupportedError
from ptzip.inspecting.disassembly import opcode_lines
from ptzip.inspecting.records import record_rows
from ptzip.inspecting.tensor_summary import tensor_rows
from ptzip.inspecting.tree_rows import TreeRow, tree_rows
from ptzip.json_output import report_dict
from ptzip.pickling.nodes import Node
from ptzip.tensors import statistics
from ptzip.tensors.tensor import Tensor
from ptzip.text import as_json
from ptzip.tree.children import find_node

NODE, TENSORS, TREE, RECORDS, OPCODES = "node", "tensors", "tree", "records", "opcodes"
WHOLE_FILE = (RECORDS, OPCODES)
"""The views of the file, not of an object in it."""


class View(NamedTuple):
    """A view of a file: `path` is the dotted path of a node, "" for the whole object."""

    kind: str
    path: str = ""
    everything: bool = False
    with_values: bool = False

    def check(self) -> None:
        """Raise EditError where options contradict one another."""
        if self.path and self.kind in WHOLE_FILE:
            raise EditError(f"--{self.kind} shows the whole file: remove ::{self.path}")
        if self.with_values and (not self.path or self.kind != NODE):
            raise EditError("--values shows one tensor: name it behind the file, as in last.pt::model.0.weight")


def view_dict(checkpoint: Checkpoint, view: View) -> dict[str, Any]:
    """What `--json` prints of a view."""
    view.check()
    head = report_dict(True, path=checkpoint.source.name) | ({"node": view.path} if view.path else {})
    return head | _content(checkpoint, view)


def _content(checkpoint: Checkpoint, view: View) -> dict[str, Any]:
    if view.kind == RECORDS:
        return {
            "records": [
                row._asdict() | {"alignment": row.alignment, "differences": [one._asdict() for one in row.differences]}
                for row in record_rows(checkpoint)
            ]
        }
    if view.kind == OPCODES:
        return {
            "pickles": [
                {
                    "name": part.name,
                    "opcodes": [
                        {"offset": line.offset, "opcode": line.op, "argument": as_json(line.argument), "meaning": line.meaning}
                        for line in opcode_lines(checkpoint, part)
                    ],
                    "anomalies": [str(anomaly) for anomaly in part.pickle.anomalies],
                }
                for part in checkpoint.parts
            ]
        }
    if view.kind == TENSORS:
        rows = tensor_rows(tensors_below(checkpoint, view.path), not view.everything)
        return {"tensors": [_without_size(row._asdict()) for row in rows]}
    tensors = readable_tensors(checkpoint)
    if view.kind == NODE and view.path in tensors:
        tensor = tensors[view.path]
        found = statistics.statistics(tensor)._asdict()
        answer = {"tensor": _tensor(tensor), "statistics": {name: as_json(value) for name, value in found.items()}}
        return answer | ({"values": as_json(statistics.listed(tensor))} if view.with_values else {})
    return {"tree": [_branch(row) for row in tree(checkpoint, tensors, view)]}


def _without_size(row: dict[str, Any]) -> dict[str, Any]:
    return {"bytes" if name == "size" else name: list(value) if name == "shape" else value for name, value in row.items()}


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


def tree(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], view: View) -> Iterator[TreeRow]:
    """The rows of the node that is named. Raises EditError where its values are to be shown: it is not a tensor."""
    if view.with_values:
        raise EditError(f"{view.path} is not a tensor, so it has no values to show")
    return tree_rows(_node(checkpoint, view.path), tensors, view.everything, view.path)


def _node(checkpoint: Checkpoint, path: str) -> Node:
    """The node at a path, in the first pickle that has it."""
    if not path:
        return checkpoint.root
    fault: PtzipError | None = None
    for part in checkpoint.parts:
        try:
            return find_node(part.root, path).value
        except PtzipError as error:
            fault = fault or error
    raise fault or UnsupportedError(f"this is a {checkpoint.format}, which has no object to look into")


def tensors_below(checkpoint: Checkpoint, path: str) -> Mapping[str, Tensor]:
    """The tensors at a path and below it. Raises EditError where there are none."""
    tensors = checkpoint.tensors()
    found = {name: tensor for name, tensor in tensors.items() if name == path or name.startswith(f"{path}.")}
    if path and not found:
        raise EditError(f"there are no tensors below {path}")
    return found if path else tensors
