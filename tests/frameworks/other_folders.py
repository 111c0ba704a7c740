"""Writes the folders of `fixtures/folders` around those of torch.distributed.checkpoint, and shards with an index.

Run by hand after `dcp_folders`: `python -m tests.frameworks.other_folders fixtures/folders` (torch 2.13.0, lightning 2.6,
huggingface_hub, safetensors). lightning and accelerate save on GPUs only, so their files are written as their sources do; what
is expected of them is what lightning's own consolidator and torch make of the files.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tests.frameworks.dcp_folders import GRID, PORT, Tree, along, facts, numbers

LIGHTNING, ACCELERATE, SAFETENSORS = "lightning-2.ckpt", "accelerate-2", "safetensors-4"


def trained() -> tuple[Tree, Tree]:
    """The states of a small model and of its optimizer after a step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3))
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    model(numbers(4, 2)).sum().backward()
    optimizer.step()
    state, states = get_state_dict(model, optimizer)
    return state, states


def lightning(folder: Path) -> None:
    """As `FSDPStrategy.save_checkpoint` of lightning.pytorch (`strategies/fsdp.py`)."""
    model, optimizer = trained()
    dcp.save({"model": model, "optimizer_0": optimizer}, checkpoint_id=folder)
    if dist.get_rank() == 0:
        meta = {
            "epoch": 1,
            "global_step": 2,
            "pytorch-lightning_version": "2.6.0",
            "loops": {},
            "hyper_parameters": {"lr": 0.1},
        }
        torch.save(meta, folder / "meta.pt")


def accelerate(folder: Path) -> None:
    """As `save_fsdp_model` and `save_fsdp_optimizer` of accelerate (`utils/fsdp_utils.py`)."""
    model, optimizer = trained()
    dcp.save({"model": model}, checkpoint_id=folder / "pytorch_model_fsdp_0")
    dcp.save({"optimizer": optimizer}, checkpoint_id=folder / "optimizer_0")


def safetensors(folder: Path) -> None:
    dcp.save(along(GRID, (2, 2)), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


CASES: dict[str, tuple[int, Callable[[Path], None]]] = {
    LIGHTNING: (2, lightning),
    ACCELERATE: (2, accelerate),
    SAFETENSORS: (4, safetensors),
}


def save(rank: int, name: str, folder: str) -> None:
    world, make = CASES[name]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT + 1))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    make(Path(folder))
    dist.destroy_process_group()


def consolidated(root: Path) -> dict[str, object]:
    """What the frameworks' own consolidators make of the folders."""
    from lightning.fabric.utilities.load import _load_distributed_checkpoint
    from lightning.pytorch.utilities.consolidate_checkpoint import _format_checkpoint

    whole = root / "whole.pt"
    found = {LIGHTNING: facts(_format_checkpoint(_load_distributed_checkpoint(root / LIGHTNING)))}
    joined = Tree()
    for part in ("pytorch_model_fsdp_0", "optimizer_0"):
        dcp_to_torch_save(root / ACCELERATE / part, whole)
        joined |= torch.load(whole, weights_only=False)
    whole.unlink()
    return found | {ACCELERATE: facts(joined), SAFETENSORS: facts({name: numbers(*shape) for name, (shape, _) in GRID.items()})}


def sharded(root: Path) -> dict[str, object]:
    """A state dict in shards with an index, in both formats (`save_torch_state_dict`)."""
    from huggingface_hub import save_torch_state_dict

    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 8)).state_dict()
    for name, is_safe in (("index-safetensors", True), ("index-bin", False)):
        (root / name).mkdir()
        save_torch_state_dict(state, root / name, max_shard_size=900, safe_serialization=is_safe)
    return {name: facts(dict(state)) for name in ("index-safetensors", "index-bin")}


def main(root: Path) -> None:
    for name, (world, _) in CASES.items():
        torch.multiprocessing.spawn(save, (name, str(root / name)), nprocs=world)
    expected = root / "expected.json"
    found = json.loads(expected.read_text()) | consolidated(root) | sharded(root)
    expected.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
