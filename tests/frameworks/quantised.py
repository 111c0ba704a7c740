"""Models that bitsandbytes, torchao, quanto and HQQ quantised, and layers as in GPTQ and FP8: state dicts and modules."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from torch import nn
from torchao.quantization import (
    Float8WeightOnlyConfig,
    Int8WeightOnlyConfig,
    quantize_,
)

from tests.frameworks.case import Case

PINS = "torch==2.13.0 bitsandbytes==0.50.2 torchao==0.18.0 optimum-quanto==0.2.7 hqq==0.2.8.post1 \
numpy==2.4.6 ml_dtypes zstandard safetensors rich"

Make = Callable[[], nn.Module]


def around(*layers: nn.Module) -> nn.Module:
    """Quantised layers between others."""
    return nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), *layers, nn.LayerNorm(64), nn.Linear(64, 8)).eval()


def nf4(storage: torch.dtype = torch.uint8, is_nested: bool = True) -> nn.Module:
    layer = bnb.nn.Linear4bit(
        64, 64, quant_type="nf4", compute_dtype=torch.float32, compress_statistics=is_nested, quant_storage=storage
    )
    return around(layer).to("cpu")


def int8() -> nn.Module:
    return around(bnb.nn.Linear8bitLt(64, 64, has_fp16_weights=False)).to("cpu")


def torchao(config: Any) -> nn.Module:
    net = around(nn.Linear(64, 64))
    quantize_(net[2], config)
    return net


def quanto() -> nn.Module:
    from optimum.quanto import freeze, qint8, quantize

    net = around(nn.Linear(64, 64))
    quantize(net, weights=qint8, include="2")
    freeze(net)
    return net


def hqq() -> nn.Module:
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    config = BaseQuantizeConfig(nbits=4, group_size=64)
    return around(HQQLinear(nn.Linear(64, 64), config, compute_dtype=torch.float32, device="cpu"))


class Packed(nn.Module):
    """A layer as GPTQ has it: four bits of eight weights in each int32, a scale and a zero point for each group."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("qweight", torch.randint(-(2**31), 2**31 - 1, (8, 64), dtype=torch.int32))
        self.register_buffer("qzeros", torch.randint(-(2**31), 2**31 - 1, (4, 8), dtype=torch.int32))
        self.register_buffer("scales", torch.rand(4, 64) / 50)
        self.register_buffer("g_idx", (torch.arange(64) // 16).to(torch.int32))
        self.register_buffer("bias", torch.rand(64))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        shifts = torch.arange(0, 32, 4, dtype=torch.int32)
        weight = ((self.qweight.unsqueeze(1) >> shifts.view(1, 8, 1)) & 15).reshape(64, 64)
        zeros = ((self.qzeros.unsqueeze(2) >> shifts.view(1, 1, 8)) & 15).reshape(4, 64)
        assert self.scales.dtype == torch.float32
        return numbers @ (self.scales[self.g_idx] * (weight - zeros[self.g_idx])) + self.bias


class Float8(nn.Module):
    """A layer as FP8 checkpoints have it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.rand(64, 64).to(torch.float8_e4m3fn))
        self.register_buffer("weight_scale", torch.rand(64, 1) / 100)
        self.register_buffer("input_scale", torch.tensor(0.0123456))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        assert self.weight_scale.dtype == self.input_scale.dtype == torch.float32
        return (numbers / self.input_scale).round() * self.input_scale @ (self.weight.float() * self.weight_scale).T


MODELS: dict[str, tuple[str, Make]] = {
    "bitsandbytes-nf4-nested": ("bitsandbytes", nf4),
    "bitsandbytes-nf4": ("bitsandbytes", partial(nf4, is_nested=False)),
    "bitsandbytes-nf4-in-float32": ("bitsandbytes", partial(nf4, torch.float32)),
    "bitsandbytes-nf4-in-bfloat16": ("bitsandbytes", partial(nf4, torch.bfloat16)),
    "bitsandbytes-int8": ("bitsandbytes", int8),
    "torchao-int8": ("torchao", partial(torchao, Int8WeightOnlyConfig())),
    "torchao-fp8": ("torchao", partial(torchao, Float8WeightOnlyConfig())),
    "quanto-int8": ("optimum-quanto", quanto),
    "hqq": ("hqq", hqq),
    "GPTQ-like": ("torch", lambda: around(Packed())),
    "FP8-with-scales": ("torch", lambda: around(Float8())),
}


def numbers() -> torch.Tensor:
    return torch.rand(16, 32, generator=torch.Generator().manual_seed(1))


def write_state(make: Make, folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"net": make().state_dict(), "epoch": 1}, folder / "state.pt")
    return folder / "state.pt"


def outputs_state(make: Make, path: Path) -> torch.Tensor:
    torch.manual_seed(2)
    net, state = make(), torch.load(path, weights_only=False)["net"]
    load(net, state)
    return computed(net)


def write_whole(make: Make, folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"net": make(), "epoch": 1}, folder / "whole.pt")
    return folder / "whole.pt"


def outputs_whole(_: Make, path: Path) -> torch.Tensor:
    net = torch.load(path, weights_only=False)["net"]
    for layer in (*net[:2], *net[3:]):
        layer.float()
    return computed(net)


def computed(net: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        outputs: torch.Tensor = net(numbers())
    return outputs


def load(net: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load a state dict; weights of four bits as transformers does it (`quantizers/quantizer_bnb_4bit.py`)."""
    is_packed = isinstance(net[2], bnb.nn.Linear4bit)
    below = {name: state.pop(name) for name in list(state) if is_packed and name.startswith("2.weight.")}
    if below:
        weight = state.pop("2.weight")
        net[2].weight = bnb.nn.Params4bit.from_prequantized(weight, below, device="cpu", module=net[2])
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["2.weight"] if below else [], []), (missing, unexpected)


CASES = (
    *(
        Case(name, package, partial(write_state, make), partial(outputs_state, make))
        for name, (package, make) in MODELS.items()
    ),
    *(
        Case(f"{name}-whole", package, partial(write_whole, make), partial(outputs_whole, make))
        for name, (package, make) in MODELS.items()
        if package != "torchao"  # whose tensors pickle does not take
    ),
)
