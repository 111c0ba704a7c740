"""Tensors in several files with an index, as transformers reads them (`save_torch_state_dict` of huggingface_hub)."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ptzip.converting.selection import Files, Tensors
from ptzip.io.atomic_output import NewFile
from ptzip.io.payloads import BytesPayload, SequentialFile


def sharded(
    groups: Iterable[Tensors],
    output: Path,
    max_shard_size: int | None,
    file_of: Callable[[Tensors], NewFile],
    metadata: Mapping[str, str] | None = None,
) -> Files:
    """The files that hold groups of tensors: one, or shards of at most `max_shard_size` bytes and the index of shards, which
    has further `metadata`.

    Groups stay together and in their order; one that is larger has a shard of its own.
    """
    shards = _shards(list(groups), max_shard_size)
    if len(shards) == 1:
        return {output: file_of(shards[0])}
    names = [f"{output.stem}-{number:05d}-of-{len(shards):05d}{output.suffix}" for number in range(1, len(shards) + 1)]
    weight_map = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    total = sum(_size(shard) for shard in shards)
    index = {"metadata": {"total_size": total, **(metadata or {})}, "weight_map": weight_map}
    text = BytesPayload(json.dumps(index, indent=2).encode())
    files: Files = {output.with_name(name): file_of(shard) for name, shard in zip(names, shards, strict=True)}
    return files | {output.with_name(f"{output.name}.index.json"): SequentialFile((text,))}


def _shards(groups: list[Tensors], max_shard_size: int | None) -> list[Tensors]:
    """As few shards of consecutive groups as possible."""
    shards, size = [Tensors()], 0
    for group in groups:
        if max_shard_size is not None and shards[-1] and size + _size(group) > max_shard_size:
            shards.append(Tensors())
            size = 0
        shards[-1] |= group
        size += _size(group)
    return shards


def _size(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
