"""Writes folders of torch.distributed.checkpoint with an old torch, and what its own loader reads from them.

Run by hand with each version on a CPU: `python -m tests.frameworks.old_dcp_folders fixtures/old_folders`. Such a torch needs
numpy before 2.
"""

import hashlib
import json
import math
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

PORT = 29597

SPLIT = {"rows": ((7, 3), 0), "columns": ((3, 7), 1), "middle": ((2, 5, 3), 1), "single": ((1, 3), 0)}
"""Shapes, and the dimension along which each is split, unevenly; the last has an empty shard."""


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.arange(math.prod(shape)) % 97).reshape(shape).to(dtype)


def plain() -> dict[str, Any]:
    model = {"half": numbers(5, dtype=torch.bfloat16), "count": torch.tensor(7), "mask": numbers(3).bool()}
    return model | {"turned": numbers(3, 4).t(), "parameter": torch.nn.Parameter(numbers(4, 2)), "epoch": 3, "name": "run"}


def sharded(rank: int, world: int) -> dict[str, Any]:
    """ShardedTensors."""
    from torch.distributed._shard.sharded_tensor import Shard, init_from_local_shards

    found = {}
    for name, (shape, dim) in SPLIT.items():
        share = -(-shape[dim] // world)
        first = min(rank * share, shape[dim])
        local = numbers(*shape).narrow(dim, first, min(share, shape[dim] - first)).contiguous()
        offsets = [first if axis == dim else 0 for axis in range(len(shape))]
        shards = [Shard.from_tensor_and_offsets(local, offsets, rank)] if local.numel() else []
        found[f"sharded_{name}"] = init_from_local_shards(shards, *shape)
    return found


def distributed(world: int) -> dict[str, Any]:
    """DTensors, of which old versions leave no process without elements."""
    from torch.distributed._tensor import DeviceMesh, Replicate, Shard, distribute_tensor

    mesh = DeviceMesh("cpu", list(range(world)))
    found = {
        f"dtensor_{name}": distribute_tensor(numbers(*shape), mesh, [Shard(dim)])
        for name, (shape, dim) in SPLIT.items()
        if shape[dim] >= world
    }
    return found | {"dtensor_copy": distribute_tensor(numbers(2, 2), mesh, [Replicate()])}


def save(rank: int, world: int, folder: str) -> None:
    warnings.simplefilter("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT + world))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    state = plain() | (sharded(rank, world) if world > 1 else {})
    if world > 1 and torch.__version__ >= "2.1":  # before that, DTensors are not saved on a CPU
        state |= distributed(world)
    if hasattr(dcp, "save_state_dict"):
        dcp.save_state_dict(state, dcp.FileSystemWriter(folder))
    else:
        dcp.save(state, storage_writer=dcp.FileSystemWriter(folder))
    dist.barrier()
    dist.destroy_process_group()


def loaded(folder: Path, world: int) -> dict[str, Any]:
    """What this version of torch loads into tensors of full size, in one process."""
    shapes = {name: (tuple(one.shape), one.dtype) for name, one in plain().items() if isinstance(one, torch.Tensor)}
    if world > 1:
        splits = {f"sharded_{name}": shape for name, (shape, _) in SPLIT.items()}
        if torch.__version__ >= "2.1":
            splits |= {f"dtensor_{name}": shape for name, (shape, dim) in SPLIT.items() if shape[dim] >= world}
            splits["dtensor_copy"] = (2, 2)
        shapes |= {name: (shape, torch.float32) for name, shape in splits.items()}
    state = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}
    if hasattr(dcp, "load_state_dict"):
        dcp.load_state_dict(state, dcp.FileSystemReader(folder), no_dist=True)
    else:
        dcp.load(state, storage_reader=dcp.FileSystemReader(folder), no_dist=True)
    return {name: facts(one) for name, one in state.items()}


def facts(tensor: torch.Tensor) -> list[Any]:
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), hashlib.sha256(data).hexdigest()]


def main(root: Path) -> None:
    warnings.simplefilter("ignore")
    expected, version = root / "expected.json", torch.__version__.partition("+")[0]
    found = json.loads(expected.read_text()) if expected.exists() else {}
    for world in (1, 2):
        name = f"torch{version}-{world}"
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir()
        torch.multiprocessing.spawn(save, (world, str(root / name)), nprocs=world)
        found[name] = loaded(root / name, world)
    expected.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
