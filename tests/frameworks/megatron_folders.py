"""Writes the folder of `fixtures/megatron` with Megatron-Core, in its format `torch_dist`.

Run by hand: `python -m tests.frameworks.megatron_folders fixtures/megatron` (torch 2.13.0, megatron-core 0.16.1, psutil). On a
CPU `torch.cuda` is told to do nothing. What is expected are the tensors as torch's own consolidator gives them.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from tests.frameworks.tensor_facts import facts

WORLD, PORT = 2, 29593
NAME = "tensor-parallel-2"


def state(rank: int) -> dict[str, Any]:
    """A part of a model that is split over the processes, its copies, layers that are stacked, and an optimizer."""
    from megatron.core.dist_checkpointing import ShardedObject, ShardedTensor

    weight, layers = torch.arange(24.0).reshape(4, 6)[2 * rank : 2 * rank + 2], torch.arange(24.0).reshape(3, 8).bfloat16()
    whole, split = ShardedTensor.from_rank_offsets, (0, rank, WORLD)
    model = {
        "weight": whole("decoder.weight", weight, split),
        "bias": whole("decoder.bias", torch.arange(6.0), replica_id=rank),
        "extra": ShardedObject("decoder._extra_state", {"amax": [1, 2]}, (1,), (0,), replica_id=rank),
    }
    for number, layer in enumerate(layers):
        model[f"{number}"] = whole("layers.weight", layer, (0, number, 3), prepend_axis_num=1, replica_id=rank)
    optimizer = {
        key: whole(f"optimizer.state.{key}.decoder.weight", weight + 1, split)
        for key in ("exp_avg", "exp_avg_sq", "fp32_param")
    }
    random = ShardedObject("rng_state", [{"seed": rank}], (WORLD,), (rank,))
    common = {"iteration": 5, "checkpoint_version": 3.0, "args": {"hidden_size": 6}}
    return {"model": model, "optimizer": {"state": optimizer, "param_groups": [{"lr": 0.1}]}, "rng_state": random, **common}


def save(rank: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    from megatron.core import dist_checkpointing, parallel_state

    torch.cuda.synchronize, torch.cuda.current_device = (lambda device=None: None), (lambda: "cpu")
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=WORLD)
    dist_checkpointing.save(state(rank), folder, ("torch_dist", 1))
    dist.destroy_process_group()


def main(root: Path) -> None:
    shutil.rmtree(root / NAME, ignore_errors=True)
    (root / NAME).mkdir()
    torch.multiprocessing.spawn(save, (str(root / NAME),), nprocs=WORLD)
    dcp_to_torch_save(root / NAME, root / "whole.pt")
    whole = torch.load(root / "whole.pt", weights_only=False)
    (root / "whole.pt").unlink()
    found = facts({name: one for name, one in whole.items() if isinstance(one, torch.Tensor)})
    (root / "expected.json").write_text(json.dumps({NAME: found}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
