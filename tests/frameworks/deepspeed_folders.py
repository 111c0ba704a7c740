"""Writes folders with DeepSpeed on a CPU, and what DeepSpeed's own consolidator makes of them.

Run by hand, with torch 2.13.0 and deepspeed 0.19.8:

    DS_ACCELERATOR=cpu python -m tests.frameworks.deepspeed_folders FOLDER [NAME ...]

Those in `fixtures/deepspeed` were made so, by their names. Every process has the same seed, so the weights are the same each
time.
"""

import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.engine import DeepSpeedEngine
from deepspeed.utils import safe_get_full_fp32_param
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
from torch import nn

from tests.frameworks.tensor_facts import agreement, facts

PORT = 29611

MASTERS = "masters.pt"
"""The float32 weights that the engine itself gives, where the consolidator cannot read the folder."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Small(nn.Module):
    """Layers that no number of processes can share equally; parameters that are tied, frozen, empty and without dimensions;
    buffers of integers, of floats, and one that is not saved.
    """

    def __init__(self, is_scalar: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 3)
        self.first = nn.Linear(3, 5)
        self.norm = nn.LayerNorm(5)
        self.still = nn.Linear(5, 3).requires_grad_(False)
        self.head = nn.Linear(3, 7, bias=False)
        self.head.weight = self.words.weight
        self.scale = nn.Parameter(torch.full(() if is_scalar else (1,), 1.5))
        self.register_buffer("positions", torch.arange(1 << 30, (1 << 30) + 3))
        self.register_buffer("mean", torch.arange(5) / 3)
        self.register_buffer("passing", torch.ones(2), persistent=False)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        values = self.norm(self.first(self.words(words))) - self.mean.to(self.first.weight.dtype)
        return (self.head(self.still(values)) * self.scale).float().square().mean()


class Case(NamedTuple):
    """What is saved: by how many processes, at which stage, in which dtype the model computes."""

    world: int
    stage: int
    dtype: str = "float32"
    groups: int = 1
    options: Mapping[str, Any] = MappingProxyType({})
    """More of `zero_optimization`."""
    config: Mapping[str, Any] = MappingProxyType({})
    """More of the configuration."""
    form: str = ""
    """One of `FORMS`, or ""."""


SUB_GROUPS = {"sub_group_size": 9}
"""Sub-groups of few parameters each."""

FORMS = ("universal", "lightning", "trained")
"""That of `ds_to_universal`, of Lightning, and one without the frozen parameters."""

CASES = {
    f"zero{stage}-{dtype}-{world}": Case(world, stage, dtype)
    for stage in range(4)
    for dtype in ("float32", "bfloat16", "float16")
    for world in (1, 2, 4)
} | {
    **{f"zero{stage}-groups-{world}": Case(world, stage, "bfloat16", 2) for stage in (1, 2, 3) for world in (1, 2, 4)},
    **{f"zero3-subgroups-{world}": Case(world, 3, "bfloat16", 2, SUB_GROUPS) for world in (1, 2, 4)},
    **{
        f"zero{stage}-robin-{world}": Case(world, stage, "bfloat16", 2, {"round_robin_gradients": True})
        for stage in (1, 2)
        for world in (2, 4)
    },
    **{
        f"zero1-gathered-{world}": Case(world, 1, "bfloat16", config={"data_types": {"grad_accum_dtype": "fp32"}})
        for world in (1, 2, 4)
    },
    **{f"zero{stage}-float32-3": Case(3, stage) for stage in (1, 2, 3)},
    **{f"zero{stage}-{form}-2": Case(2, stage, "bfloat16", form=form) for stage in (1, 2, 3) for form in FORMS},
}
"""By name."""


def configuration(case: Case) -> dict[str, Any]:
    kind: dict[str, dict[str, Any]] = {
        "float16": {"fp16": {"enabled": True, "initial_scale_power": 4}},
        "bfloat16": {"bf16": {"enabled": True}},
    }
    return {
        "train_micro_batch_size_per_gpu": 4,
        "zero_optimization": {"stage": case.stage, **case.options},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        **kind.get(case.dtype, {}),
        **case.config,
    }


def work(rank: int, world: int, names: list[str], root: Path) -> None:
    """One of the processes, for all cases of as many."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT), RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank)
    )
    deepspeed.init_distributed("gloo")
    DeepSpeedEngine._broadcast_model = lambda self: None  # it fails without dimensions, and all have the same seed
    type(get_accelerator()).is_fp16_supported = lambda self: True  # the layers of the model are
    for name in names:
        try:
            train(CASES[name], root / name)
        except Exception:
            print(f"{name}: process {rank} failed\n{traceback.format_exc(limit=-3)}", flush=True)
    torch.distributed.destroy_process_group()


def train(case: Case, folder: Path) -> None:
    """Take two steps, and save."""
    torch.manual_seed(0)
    model = Small(is_scalar=case.stage in (1, 2) and case.form != "universal")  # where DeepSpeed can handle such a parameter
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": trained[index :: case.groups], "weight_decay": index / 10} for index in range(case.groups)]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=configuration(case))
    for step in range(2):
        engine.backward(engine(torch.arange(4) + step))
        engine.step()
    state: dict[str, object] = {"epoch": 3}
    if case.form == "lightning":  # as its DeepSpeedStrategy saves, which needs a GPU otherwise
        state |= {"pytorch-lightning_version": "2.6.6", "loops": {}, "hyper_parameters": {"width": 5}}
    tag = "checkpoint" if case.form == "lightning" else "global_step2"
    engine.save_checkpoint(str(folder), tag, state, exclude_frozen_parameters=case.form == "trained")
    if "data_types" in case.config:
        masters = {
            name: safe_get_full_fp32_param(parameter) for name, parameter in model.named_parameters(remove_duplicate=False)
        }
        torch.save(masters, folder / MASTERS)


def expected(folder: Path) -> dict[str, torch.Tensor]:
    """What `zero_to_fp32` makes of a folder, with the buffers as they were saved, which it casts to float32; of stage 0 the
    model as it was saved."""
    file = next((folder / (folder / "latest").read_text()).glob("*_model_states.pt"))
    state = torch.load(file, weights_only=False)
    if state["optimizer"] is not None:
        return dict(state["module"])
    if (folder / MASTERS).exists():
        masters = torch.load(folder / MASTERS)
        (folder / MASTERS).unlink()
        return {name: tensor if masters.get(name) is None else masters[name] for name, tensor in state["module"].items()}
    whole: dict[str, torch.Tensor] = get_fp32_state_dict_from_zero_checkpoint(str(folder))
    for key in state["buffer_names"]:
        assert torch.equal(whole[key].float(), state["module"][key].float())
        whole[key] = state["module"][key]
    return whole


def to_universal(folder: Path) -> None:
    """Let DeepSpeed write the universal form, and leave the weights of that alone."""
    options = ("--num_extract_workers=1", "--num_merge_workers=1", "--inject_missing_state")
    step, universal = folder / "global_step2", folder / "global_step2_universal"
    command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", *options]
    subprocess.run([*command, f"--input_folder={step}", f"--output_folder={universal}"], check=True)
    for moments in (*universal.glob("zero/*/exp_avg*.pt"), *universal.glob("zero/*.pt")):
        moments.unlink()
    shutil.rmtree(step)
    (folder / "latest").unlink()


def main(root: Path, names: list[str]) -> None:
    found = json.loads((root / "expected.json").read_text()) if (root / "expected.json").exists() else {}
    names = names or list(CASES)
    for world in sorted({CASES[name].world for name in names}):
        mine = [name for name in names if CASES[name].world == world]
        for name in mine:
            shutil.rmtree(root / name, ignore_errors=True)
        torch.multiprocessing.spawn(work, (world, mine, root), nprocs=world)
        for name in mine:
            try:
                found[name] = facts(expected(root / name))
            except Exception as error:
                print(f"{name}: not consolidated: {error!r}", flush=True)
            if CASES[name].form == "universal":
                to_universal(root / name)
            for script in (root / name).glob("zero_to_*.py"):
                script.unlink()
        (root / "expected.json").write_text(json.dumps(found) + "\n")
    for name in names:
        print(f"{name:24}{agreement(root / name, found[name], masters=CASES[name].stage > 0)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
