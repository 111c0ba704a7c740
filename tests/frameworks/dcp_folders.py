"""Writes the folders of `fixtures/folders` with torch.distributed.checkpoint, and what torch's own consolidator makes of them.

Run by hand, on a CPU: `python -m tests.frameworks.dcp_folders fixtures/folders` (torch 2.13.0, zstandard). Every process has
the same seed, so the folders are the same each time but for the times of saving.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed._composable.fsdp import fully_shard
from torch.distributed.checkpoint._extension import ZStandard
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

Tree = dict[str, Any]

PORT = 29591


class Small(nn.Module):
    """Layers whose rows two processes cannot share equally, a buffer of integers and one without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.norm = nn.BatchNorm1d(5)
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.norm(self.first(values))


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.arange(torch.Size(shape).numel()) % 97).reshape(shape).to(dtype)


def plain() -> Tree:
    """What one process saves: tensors of many kinds, nested values, and values that are no tensors."""
    model = {
        "weight": numbers(4, 3),
        "turned": numbers(3, 4).t(),
        "half": numbers(5, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "mask": numbers(3).bool(),
        "empty": torch.empty(0, 3),
    }
    optimizer = {"state": {"weight": {"step": torch.tensor(2.0), "exp_avg": numbers(4, 3)}}, "param_groups": [{"lr": 0.1}]}
    return {"model": model, "optimizer": optimizer, "epoch": 3, "args": {"name": "run", "sizes": (1, 2)}, "parts": [numbers(2)]}


def fully_sharded() -> Tree:
    """A model under FSDP2 with its optimizer after a step."""
    torch.manual_seed(0)
    model = Small()
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = torch.optim.Adam(model.parameters())
    model(numbers(4, 3)).sum().backward()
    optimizer.step()
    state, states = get_state_dict(model, optimizer)
    return {"model": state, "optimizer": states}


def flattened() -> Tree:
    """The same with the states of the optimizer in one dict of dotted names."""
    torch.manual_seed(0)
    model = nn.Linear(2, 3)
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    model(numbers(4, 2)).sum().backward()
    optimizer.step()
    state, states = get_state_dict(model, optimizer, options=StateDictOptions(flatten_optimizer_state_dict=True))
    return {"model": state, "optim": states}


def along(axes: Mapping[str, tuple[tuple[int, ...], list[Any]]], mesh: tuple[int, ...]) -> Tree:
    """Tensors placed on a mesh."""
    names = ("outer", "inner")[: len(mesh)]
    found = init_device_mesh("cpu", mesh, mesh_dim_names=names)
    return {name: distribute_tensor(numbers(*shape), found, places) for name, (shape, places) in axes.items()}


LINE = {
    "rows": ((5, 3), [Shard(0)]),
    "columns": ((3, 5), [Shard(1)]),
    "middle": ((2, 4, 3), [Shard(1)]),
    "short": ((1, 4), [Shard(0)]),
    "copied": ((3,), [Replicate()]),
}
GRID = {
    "blocks": ((5, 6), [Shard(0), Shard(1)]),
    "twice": ((7, 2), [Shard(0), Shard(0)]),
    "columns": ((3, 4), [Replicate(), Shard(1)]),
    "rows": ((3, 4), [Shard(0), Replicate()]),
}

CASES: dict[str, tuple[int, Callable[[], Tree], dict[str, Any]]] = {
    "plain-1": (1, plain, {}),
    "zstd-1": (1, lambda: {"weight": numbers(40, 30), "epoch": 3}, {"_extensions": [ZStandard()]}),
    "fsdp2-2": (2, fully_sharded, {}),
    "flattened-2": (2, flattened, {}),
    "line-2": (2, partial(along, LINE, (2,)), {}),
    "alone-2": (2, partial(along, LINE, (2,)), {"alone": True}),
    "grid-4": (4, partial(along, GRID, (2, 2)), {}),
    "line-4": (4, partial(along, LINE, (4,)), {}),
}
"""By name: the number of processes, what they save, and options of the writer; `alone` saves without collectives."""


def save(rank: int, name: str, folder: str) -> None:
    world, make, options = CASES[name]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    options = dict(options)
    is_alone = options.pop("alone", False)
    writer = dcp.FileSystemWriter(folder, single_file_per_rank=True, **options)
    dcp.save(make(), storage_writer=writer, use_collectives=not is_alone)
    dist.destroy_process_group()


def facts(tree: object) -> object:
    """A tree with dtype, shape and hash of each tensor."""
    if isinstance(tree, torch.Tensor):
        data = tree.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return {"dtype": str(tree.dtype), "shape": list(tree.shape), "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(tree, dict):
        return {str(key): facts(value) for key, value in tree.items()}
    return [facts(value) for value in tree] if isinstance(tree, list | tuple) else tree


def main(root: Path) -> None:
    expected = dict[str, object]()
    for name, (world, _, _) in CASES.items():
        folder = root / name
        torch.multiprocessing.spawn(save, (name, str(folder)), nprocs=world)
        if (folder / ".metadata").exists():
            dcp_to_torch_save(folder, root / "whole.pt")
            expected[name] = facts(torch.load(root / "whole.pt", weights_only=False))
            (root / "whole.pt").unlink()
    (root / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
