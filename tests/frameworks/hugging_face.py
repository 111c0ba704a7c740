"""Checkpoints of the libraries around transformers."""

from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case
from tests.frameworks.networks import computed, network, numbers, trained

PINS = "torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 diffusers==0.42.1 sentence-transformers==6.2.0 peft==0.21.2 \
numpy==2.4.6 ml_dtypes zstandard safetensors rich"

WORDS = torch.arange(16).view(2, 8) % 60


# transformers


def _bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return BertForSequenceClassification(BertConfig(vocab_size=64, max_position_embeddings=16, **sizes))


def write_transformers(folder: Path) -> Path:
    """`pytorch_model.bin`, as versions before 5 saved it; the head is tied to nothing, embeddings have integer buffers."""
    net = _bert()
    net.config.save_pretrained(folder)
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


def outputs_transformers(path: Path) -> torch.Tensor:
    from transformers import BertForSequenceClassification

    net = BertForSequenceClassification.from_pretrained(path.parent, dtype=torch.float32).eval()
    with torch.no_grad():
        logits: torch.Tensor = net(WORDS).logits
    return logits


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=32, n_layer=1, n_head=2, use_cache=False))


def write_trainer(folder: Path) -> Path:
    """The weights of a `Trainer`, with the states of its training beside them; embeddings and head are tied."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir="out",
        max_steps=2,
        save_steps=2,
        per_device_train_batch_size=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [{"input_ids": row, "labels": row} for row in WORDS]
    Trainer(_gpt2(), arguments, train_dataset=data).train()
    return folder / "out" / "checkpoint-2" / "model.safetensors"


def outputs_trainer(path: Path) -> torch.Tensor:
    from transformers import GPT2LMHeadModel

    net = GPT2LMHeadModel.from_pretrained(path.parent, dtype=torch.float32).eval()
    with torch.no_grad():
        logits: torch.Tensor = net(WORDS).logits
    return logits


# accelerate


def write_accelerate(folder: Path) -> Path:
    """The folder of `save_state`, whose weights were not saved as safetensors."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    net, optimizer = accelerator.prepare(*trained())
    accelerator.backward(net(numbers()).square().sum())
    optimizer.step()
    accelerator.save_state(str(folder / "state"), safe_serialization=False)
    return folder / "state" / "pytorch_model.bin"


def outputs_accelerate(path: Path) -> torch.Tensor:
    from accelerate import load_checkpoint_in_model

    net = network()
    load_checkpoint_in_model(net, str(path))
    return computed(net)


# diffusers


def _unet() -> Any:
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(4, 4),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=2,
        attention_head_dim=4,
    )


def write_diffusers(folder: Path) -> Path:
    _unet().save_pretrained(folder / "unet", safe_serialization=False)
    return folder / "unet" / "diffusion_pytorch_model.bin"


def outputs_diffusers(path: Path) -> torch.Tensor:
    from diffusers import UNet2DModel

    return _denoised(UNet2DModel.from_pretrained(path.parent, torch_dtype=torch.float32, use_safetensors=False))


def _denoised(net: Any) -> torch.Tensor:
    images = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found: torch.Tensor = net.eval()(images, 3).sample
    return found


def write_diffusers_ema(folder: Path) -> Path:
    """The state of an average beside the weights, as training scripts of diffusers resume from."""
    from diffusers.training_utils import EMAModel

    net = _unet()
    average = EMAModel(net.parameters(), decay=0.5)
    average.step(net.parameters())
    states = {"unet": net.state_dict(), "ema": average.state_dict(), "step": 1}
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 1, 8, 8), 3).sample.sum().backward()
    optimizer.step()
    torch.save(states | {"optimizer": optimizer.state_dict()}, folder / "train.pt")
    return folder / "train.pt"


def outputs_diffusers_ema(path: Path) -> list[torch.Tensor]:
    from diffusers.training_utils import EMAModel

    states, net = torch.load(path, weights_only=True), _unet()
    net.load_state_dict(states["unet"])
    live = _denoised(net)
    average = EMAModel(net.parameters())
    average.load_state_dict(states["ema"])
    average.copy_to(net.parameters())
    return [live, _denoised(net)]


# peft


def write_peft(folder: Path) -> Path:
    """An adapter alone."""
    from peft import LoraConfig, get_peft_model

    net = get_peft_model(_gpt2(), LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False))
    net.save_pretrained(folder / "adapter", safe_serialization=False)
    return folder / "adapter" / "adapter_model.bin"


def outputs_peft(path: Path) -> torch.Tensor:
    from peft import PeftModel

    net = PeftModel.from_pretrained(_gpt2(), str(path.parent)).eval()
    with torch.no_grad():
        logits: torch.Tensor = net(WORDS).logits
    return logits


# sentence-transformers


def write_sentence_transformers(folder: Path) -> Path:
    """A dense layer over a bag of words; each module has a folder of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import BoW, Dense

    torch.manual_seed(0)
    words = [f"word{number}" for number in range(32)]
    net = SentenceTransformer(modules=[BoW(vocab=words), Dense(32, 16)], device="cpu")
    net.save(str(folder / "net"), safe_serialization=False)
    return next((folder / "net").rglob("pytorch_model.bin"))


def outputs_sentence_transformers(path: Path) -> torch.Tensor:
    from sentence_transformers import SentenceTransformer

    net = SentenceTransformer(str(path.parents[1]), device="cpu")
    return torch.from_numpy(net.float().encode(["word1 word2", "word3"]))


CASES = (
    Case("transformers", "transformers", write_transformers, outputs_transformers),
    Case("transformers-trainer", "transformers", write_trainer, outputs_trainer),
    Case("accelerate", "accelerate", write_accelerate, outputs_accelerate),
    Case("diffusers", "diffusers", write_diffusers, outputs_diffusers),
    Case("diffusers-ema", "diffusers", write_diffusers_ema, outputs_diffusers_ema),
    Case("peft", "peft", write_peft, outputs_peft),
    Case("sentence-transformers", "sentence-transformers", write_sentence_transformers, outputs_sentence_transformers),
)
