"""Writes the folders of `fixtures/pretrained` with diffusers and the `Trainer` of transformers.

Run by hand, on a CPU: `python -m tests.frameworks.pretrained_folders fixtures/pretrained` (torch 2.13.0, transformers 5.24.0,
accelerate 1.15.0, diffusers 0.42.1). What is expected of each is what `from_pretrained` loads.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.frameworks.tensor_facts import facts

WORDS = torch.arange(16).view(2, 8) % 24

PIPELINE, TRAINER, SHARDS, PICKLE = "pipeline", "trainer", "trainer-shards", "trainer-bin"


def components() -> dict[str, nn.Module]:
    """Those of a pipeline of Stable Diffusion that have weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    image = {"block_out_channels": (4,), "norm_num_groups": 2}
    layers = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "mid_block_type": None}
    coders = {"down_block_types": ("DownEncoderBlock2D",), "up_block_types": ("UpDecoderBlock2D",)}
    words = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 16}
    return {
        "text_encoder": CLIPTextModel(CLIPTextConfig(max_position_embeddings=8, **words)),
        "unet": UNet2DConditionModel(sample_size=8, layers_per_block=1, cross_attention_dim=8, **image, **layers),
        "vae": AutoencoderKL(latent_channels=4, **image, **coders),
    }


def pipeline(folder: Path) -> dict[str, Any]:
    """Weights in shards and as a pickle, and others beside them in half precision."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    found, others = components(), ("tokenizer", "safety_checker", "feature_extractor")
    whole = StableDiffusionPipeline(
        **found, **dict.fromkeys(others), scheduler=DDIMScheduler(clip_sample=False), requires_safety_checker=False
    )
    whole.save_pretrained(folder)
    for path in (folder / "unet", folder / "vae"):
        (path / "diffusion_pytorch_model.safetensors").unlink()
    found["unet"].save_pretrained(folder / "unet", max_shard_size="4KB")
    found["vae"].save_pretrained(folder / "vae", safe_serialization=False)
    found["unet"].half().save_pretrained(folder / "unet", variant="fp16")
    loaded = StableDiffusionPipeline.from_pretrained(folder, **dict.fromkeys(others), requires_safety_checker=False)
    return {f"{name}.{key}": one for name in found for key, one in facts(getattr(loaded, name).state_dict()).items()}


def trainer(folder: Path) -> nn.Module:
    """A small GPT-2, whose embeddings and head are tied, after two steps."""
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    torch.manual_seed(0)
    net = GPT2LMHeadModel(GPT2Config(vocab_size=24, n_positions=8, n_embd=8, n_layer=1, n_head=2, use_cache=False))
    steps = {"max_steps": 2, "save_steps": 2, "per_device_train_batch_size": 1}
    options = TrainingArguments(output_dir=str(folder / "out"), report_to=[], use_cpu=True, disable_tqdm=True, **steps)
    Trainer(net, options, train_dataset=[{"input_ids": row, "labels": row} for row in WORDS]).train()
    (folder / "out" / "checkpoint-2").rename(folder / TRAINER)
    (folder / "out").rmdir()
    return net


def loaded(folder: Path) -> dict[str, Any]:
    """What is loaded of a folder, without the second name of what is tied."""
    from transformers import GPT2LMHeadModel

    state = GPT2LMHeadModel.from_pretrained(folder).state_dict()
    return facts({name: one for name, one in state.items() if name != "lm_head.weight"})


def main(root: Path) -> None:
    found = {PIPELINE: pipeline(root / PIPELINE)}
    net = trainer(root)
    for name in (SHARDS, PICKLE):
        shutil.copytree(root / TRAINER, root / name)
        for file in ("model.safetensors", "rng_state.pth", "training_args.bin"):
            (root / name / file).unlink()
    net.save_pretrained(root / SHARDS, max_shard_size="3KB")
    torch.save(net.state_dict(), root / PICKLE / "pytorch_model.bin")  # as versions before 5 do
    found |= {name: loaded(root / name) for name in (TRAINER, SHARDS, PICKLE)}
    (root / "expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
