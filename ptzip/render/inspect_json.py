"""The views of `inspect` as plain data for JSON: names and numbers, sizes in bytes."""

from collections.abc import Iterable
from typing import Any

from ptzip.inspecting.disassembly import OpcodeLine
from ptzip.inspecting.records import RecordRow
from ptzip.inspecting.tensor_summary import TensorRow
from ptzip.inspecting.tree_rows import TreeRow
from ptzip.tensors.statistics import Statistics
from ptzip.tensors.tensor import Tensor
from ptzip.text import as_json


def tensor_data(tensor: Tensor) -> dict[str, Any]:
    """One tensor, without its values."""
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


def weights_data(rows: Iterable[TensorRow]) -> list[dict[str, Any]]:
    """The rows of `--tensors`."""
    return [
        {
            "name": row.name,
            "dtype": row.dtype,
            "shape": list(row.shape),
            "bytes": row.size,
            "layout": row.layout,
            "tensors": row.tensors,
        }
        for row in rows
    ]


def tree_data(rows: Iterable[TreeRow]) -> list[dict[str, Any]]:
    """The rows of `--tree`; what says nothing is left out."""
    return [_branch(row) for row in rows]


def _branch(row: TreeRow) -> dict[str, Any]:
    said = {
        "depth": row.depth,
        "name": row.name,
        "kind": row.kind,
        "value": as_json(row.value),
        "below": row.below,
        "tensor": tensor_data(row.tensor) if row.tensor else None,
        "same_as": row.seen,
        "hidden": row.hidden or None,
    }
    return {name: value for name, value in said.items() if value is not None or name == "kind"}


def records_data(rows: Iterable[RecordRow]) -> list[dict[str, Any]]:
    """The rows of `--records`."""
    return [
        row._asdict() | {"alignment": row.alignment, "differences": [one._asdict() for one in row.differences]} for row in rows
    ]


def opcode_data(line: OpcodeLine) -> dict[str, Any]:
    """One row of `--opcodes`."""
    return {"offset": line.offset, "opcode": line.op, "argument": as_json(line.argument), "meaning": line.meaning}


def statistics_data(found: Statistics) -> dict[str, Any]:
    """The statistics of one tensor."""
    return {name: as_json(value) for name, value in found._asdict().items()}
