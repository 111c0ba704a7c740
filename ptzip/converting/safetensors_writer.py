"""Writes `.safetensors`, in one file or in shards with an index.

No two tensors may share bytes: a tensor shared under several names is kept once, and its aliases go into the metadata, as in
`save_torch_state_dict` of huggingface_hub.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ptzip.converting.selection import Files, Tensors, aliases, values_unsupported
from ptzip.converting.shards import sharded
from ptzip.formats.safetensors import counted_shape
from ptzip.formats.safetensors_header import METADATA
from ptzip.formats.safetensors_writer import NewTensor, layout
from ptzip.io.payloads import SequentialFile
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor


class Tie(NamedTuple):
    """A name of a tensor that is kept under another, and its number among all such names."""

    number: int
    name: str
    kept: str


def unsupported(name: str, tensor: Tensor) -> str:
    """Why safetensors cannot represent a tensor, or ""."""
    if name == METADATA:
        return "safetensors reserves this name"
    is_known = tensor.dtype in BY_NAME and BY_NAME[tensor.dtype].safetensors
    return values_unsupported(tensor) or ("" if is_known else f"safetensors has no dtype {tensor.dtype}")


def plan(tensors: Tensors, output: Path, max_shard_size: int | None) -> Files:
    """The files that hold the tensors, as `sharded` splits them."""
    duplicates = aliases(tensors)
    groups = ({name: tensor} for name, tensor in tensors.items() if name not in duplicates)
    ties = dict[str, list[Tie]]()
    for number, (name, first) in enumerate(duplicates.items()):
        ties.setdefault(first, []).append(Tie(number, name, first))
    return sharded(groups, output, max_shard_size, lambda shard: _file(shard, ties), duplicates)


def _file(tensors: Tensors, ties: Mapping[str, list[Tie]]) -> SequentialFile:
    """A file of some tensors, with what shares them by their names."""
    found = sorted(tie for name in tensors for tie in ties.get(name, ()))
    metadata = {"format": "pt", **{tie.name: tie.kept for tie in found}}
    text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)
    return layout(map(_new_tensor, tensors, tensors.values()), text)


def _new_tensor(name: str, tensor: Tensor) -> NewTensor:
    shape = counted_shape(tensor.dtype, tensor.shape)
    return NewTensor(name, BY_NAME[tensor.dtype].safetensors, shape, RowMajor(tensor))
