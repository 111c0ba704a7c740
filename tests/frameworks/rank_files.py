"""Writes folders in which each process saved its own state, and what torch itself makes of all of them.

Run by hand, on a CPU, with torch 2.13.0:

    python -m tests.frameworks.rank_files FOLDER [NAME ...]

Those in `fixtures/rank_files` were made so, by their names. Every process has the same seed, so the weights are the same each
time.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FullStateDictConfig,
    FullyShardedDataParallel,
    LocalStateDictConfig,
    ShardedStateDictConfig,
    StateDictType,
    fully_shard,
)
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

from tests.frameworks.tensor_facts import agreement, facts

PORT = 29631

Tree = dict[str, Any]

VERL = "model_world_size_{world}_rank_{rank}.pt"
ACCELERATE = "pytorch_model_fsdp_rank{rank}.bin"


class Small(nn.Module):
    """Layers whose rows no number of processes can share equally; parameters that are tied or frozen, and buffers of integers
    and without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 3)
        self.first = nn.Linear(3, 5)
        self.norm = nn.BatchNorm1d(5)
        self.still = nn.Linear(5, 3).requires_grad_(False)
        self.head = nn.Linear(3, 7, bias=False)
        self.register_buffer("scale", torch.tensor(0.5))
        self.register_buffer("positions", torch.arange(1 << 30, (1 << 30) + 3))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.head(self.still(self.norm(self.first(self.words(words))))) * self.scale


def numbers(*shape: int) -> torch.Tensor:
    return (torch.arange(torch.Size(shape).numel()) % 97 + 1.0).reshape(shape)


def small(is_tied: bool = False) -> Small:
    torch.manual_seed(0)
    model = Small()
    if is_tied:
        model.head.weight = model.words.weight
    return model


def mesh(*shape: int) -> Any:
    return init_device_mesh("cpu", shape or (dist.get_world_size(),), mesh_dim_names=("outer", "inner")[: len(shape) or 1])


def step(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.01)
    model(torch.arange(4)).square().mean().backward()
    optimizer.step()
    return optimizer


def fully_sharded() -> Tree:
    """FSDP2: the parameters are DTensors, the buffers plain tensors."""
    model = small(is_tied=True)
    fully_shard(model, mesh=mesh())
    optimizer = step(model)
    return {VERL: model.state_dict(), "optim_" + VERL.partition("_")[2]: optimizer.state_dict()}


def nested() -> Tree:
    """The same below a key, beside values that are no tensors and may differ."""
    model = small()
    fully_shard(model, mesh=mesh())
    state = {"model": model.state_dict(), "epoch": 3, "rank": dist.get_rank(), "averages": [numbers(3)]}
    return {"checkpoint-rank{rank}.pt": state}


def placed(axes: dict[str, tuple[tuple[int, ...], list[Any]]], *shape: int) -> Tree:
    """Tensors placed on a mesh."""
    where = mesh(*shape)
    return {VERL: {name: distribute_tensor(numbers(*size), where, places) for name, (size, places) in axes.items()}}


def first_generation(kind: StateDictType, config: Any, name: str, has_mesh: bool = False) -> Tree:
    """FSDP1 in one of its forms of a state dict."""
    model = FullyShardedDataParallel(
        small(), device_id=torch.device("cpu"), use_orig_params=True, device_mesh=mesh() if has_mesh else None
    )
    step(model)
    with FullyShardedDataParallel.state_dict_type(model, kind, config):
        state = model.state_dict()
    with FullyShardedDataParallel.state_dict_type(model, StateDictType.FULL_STATE_DICT, FullStateDictConfig()):
        whole = model.state_dict()
    return {name: state, "whole": whole}


def replicas(differing: str = "") -> Tree:
    state = small().state_dict()
    if dist.get_rank() and differing:
        state[differing] = state[differing] + 1
    return {VERL: state}


def strided() -> Tree:
    """FSDP2 over tensor parallelism, whose shards are not in the order of the rows."""
    grid = mesh(2, 2)
    model = small()
    parallelize_module(model, grid["inner"], {"first": ColwiseParallel()})
    fully_shard(model, mesh=grid["outer"])
    return {VERL: model.state_dict()}


def partly() -> Tree:
    return {VERL: {"weight": DTensor.from_local(numbers(3), mesh(), [Partial()])}}


LINE = {
    "rows": ((5, 3), [Shard(0)]),
    "columns": ((3, 5), [Shard(1)]),
    "middle": ((2, 4, 3), [Shard(1)]),
    "short": ((1, 4), [Shard(0)]),
    "none": ((0, 4), [Shard(0)]),
    "copied": ((3,), [Replicate()]),
    "scalar": ((), [Replicate()]),
}
GRID = {
    "blocks": ((5, 6), [Shard(0), Shard(1)]),
    "twice": ((7, 2), [Shard(0), Shard(0)]),
    "columns": ((3, 4), [Replicate(), Shard(1)]),
    "rows": ((3, 4), [Shard(0), Replicate()]),
    "copied": ((3,), [Replicate(), Replicate()]),
}


class Case(NamedTuple):
    """What a number of processes save, by the names of the files."""

    world: int
    make: Callable[[], Tree]
    is_refused: bool = False


SHARDED = partial(first_generation, StateDictType.SHARDED_STATE_DICT, ShardedStateDictConfig())
LOCAL = partial(first_generation, StateDictType.LOCAL_STATE_DICT, LocalStateDictConfig())

CASES = {
    **{f"fsdp2-{world}": Case(world, fully_sharded) for world in (1, 2, 4)},
    **{f"nested-{world}": Case(world, nested) for world in (1, 2)},
    **{f"line-{world}": Case(world, partial(placed, LINE)) for world in (1, 2, 4)},
    "grid-4": Case(4, partial(placed, GRID, 2, 2)),
    **{f"fsdp1-{world}": Case(world, partial(SHARDED, name=ACCELERATE)) for world in (1, 2, 4)},
    "fsdp1-mesh-2": Case(2, partial(SHARDED, name=VERL, has_mesh=True)),
    "replicas-2": Case(2, replicas),
    "differing-2": Case(2, partial(replicas, "norm.running_mean"), is_refused=True),
    "local-2": Case(2, partial(LOCAL, name=ACCELERATE), is_refused=True),
    "strided-4": Case(4, strided, is_refused=True),
    "partial-2": Case(2, partly, is_refused=True),
}


def work(rank: int, world: int, names: list[str], root: Path) -> None:
    """One of the processes, for all cases of as many. The first one writes what is expected."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    for name in names:
        saved = CASES[name].make()
        whole = saved.pop("whole", None)
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, state in saved.items():
            torch.save(state, root / name / file.format(world=world, rank=rank))
        if not CASES[name].is_refused:
            expected = facts(flat(whole or next(iter(saved.values()))))
            if rank == 0:
                (root / f"{name}.json").write_text(json.dumps(expected))
    dist.destroy_process_group()


def flat(state: Any, above: str = "") -> dict[str, torch.Tensor]:
    """The whole tensors in dicts and lists, by dotted names."""
    if isinstance(state, torch.Tensor):
        return {above: state.full_tensor() if isinstance(state, DTensor) else state}
    pairs = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: one for key, value in pairs for name, one in flat(value, f"{above}.{key}".lstrip(".")).items()}


def main(root: Path, names: list[str]) -> None:
    names, file = names or list(CASES), root / "expected.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for world in sorted({CASES[name].world for name in names}):
        mine = [name for name in names if CASES[name].world == world]
        torch.multiprocessing.spawn(work, (world, mine, root), nprocs=world)
    for part in sorted(root.glob("*-*.json")):
        found[part.stem] = json.loads(part.read_text())
        part.unlink()
    file.write_text(json.dumps(found) + "\n")
    for name in names:
        print(f"{name:24}{agreement(root / name, found.get(name, {}))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
