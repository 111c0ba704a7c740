"""Tensors to `.safetensors`: a length of 8 bytes, that much JSON, and the bytes of all tensors (the format's README).

Rule: header and bytes are streamed, the widest dtypes first so that each tensor is aligned to its own; no two tensors may share
bytes, so a tie is kept once, and its other names stand in the metadata, as `save_torch_state_dict` of huggingface_hub has them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptzip.converting.output_file import File
from ptzip.converting.selection import Tensors, ties
from ptzip.converting.unsupported import no_values
from ptzip.formats.safetensors_tensors import PAIRS
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.atomic_output import SequentialFile
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import DTYPES
from ptzip.tensors.tensor import Tensor

SUFFIX = ".safetensors"

SPELLED = {dtype.name: dtype.safetensors for dtype in DTYPES if dtype.safetensors}

METADATA = "__metadata__"
ALIGNMENT = 8
"""The header is filled with spaces to a multiple of this."""


def refusal(name: str, tensor: Tensor) -> str:
    """Why a tensor has no form in this format, or ""."""
    if name == METADATA:
        return "no tensor may be called so in safetensors"
    return no_values(tensor) or ("" if tensor.dtype in SPELLED else f"safetensors have no dtype {tensor.dtype}")


def planned(tensors: Tensors, place: Path, largest: int | None) -> list[File]:
    """The files that hold the tensors: one, or shards of at most `largest` bytes and the index that says what is where.

    A tensor that is larger has a shard of its own.
    """
    tied = ties(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if name not in tied}
    shards = _shards(kept, largest)
    if len(shards) == 1:
        return [File(place, _file(shards[0], tied))]
    names = [f"{place.stem}-{number:05d}-of-{len(shards):05d}{place.suffix}" for number in range(1, len(shards) + 1)]
    files = [File(place.with_name(name), _file(shard, tied)) for name, shard in zip(names, shards, strict=True)]
    homes = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    total = sum(tensor.nbytes for tensor in kept.values())
    index = {"metadata": {"total_size": total, **tied}, "weight_map": {name: homes[name] for name in kept}}
    spelled = BytesPayload(json.dumps(index, indent=2).encode())
    return [*files, File(place.with_name(f"{place.name}.index.json"), SequentialFile((spelled,)))]


def _shards(tensors: Tensors, largest: int | None) -> list[Tensors]:
    """The tensors in the order of the file, in as many shards as it takes."""
    found, size = [Tensors()], 0
    for name, tensor in tensors.items():
        if largest is not None and found[-1] and size + tensor.nbytes > largest:
            found.append(Tensors())
            size = 0
        found[-1][name] = tensor
        size += tensor.nbytes
    return found


def _file(tensors: Tensors, tied: Mapping[str, str]) -> SequentialFile:
    order = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
    aliases = {name: kept for name, kept in tied.items() if kept in tensors}
    return SequentialFile((BytesPayload(_header(order, aliases)), *map(RowMajor, order.values())))


def _header(tensors: Tensors, aliases: Mapping[str, str]) -> bytes:
    told: dict[str, Any] = {METADATA: {"format": "pt", **aliases}}
    at = 0
    for name, tensor in tensors.items():
        told[name] = {"dtype": SPELLED[tensor.dtype], "shape": _shape(tensor), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return SAFETENSORS_LENGTH.pack(len(text)) + text


def _shape(tensor: Tensor) -> list[int]:
    """The shape; of float4 that of the values, of which torch counts pairs."""
    is_pairs = tensor.dtype == PAIRS and tensor.shape
    return [*tensor.shape[:-1], 2 * tensor.shape[-1]] if is_pairs else list(tensor.shape)
