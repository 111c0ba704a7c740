"""Models that bitsandbytes and torchao quantised, and layers as GPTQ and FP8 have them: slimmed, loaded, and run.

By hand, in an environment of its own:

    pip install torch==2.13.0 bitsandbytes==0.50.2 torchao==0.18.0 numpy ml_dtypes
    python -m tests.frameworks.quantised

With a folder as argument, the checkpoints are written there: `fixtures/quantised` has them for `tests/slimming`.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes as bnb  # type: ignore[import-not-found, unused-ignore]
import torch
from torch import nn
from torchao.quantization import (  # type: ignore[import-not-found, unused-ignore]
    Float8WeightOnlyConfig,
    Int8WeightOnlyConfig,
    quantize_,
)

import ptzip

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


class Packed(nn.Module):  # type: ignore[misc, unused-ignore]
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


class Float8(nn.Module):  # type: ignore[misc, unused-ignore]
    """A layer as FP8 checkpoints have it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.rand(64, 64).to(torch.float8_e4m3fn))
        self.register_buffer("weight_scale", torch.rand(64, 1) / 100)
        self.register_buffer("input_scale", torch.tensor(0.0123456))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        assert self.weight_scale.dtype == self.input_scale.dtype == torch.float32
        return (numbers / self.input_scale).round() * self.input_scale @ (self.weight.float() * self.weight_scale).T


MODELS: dict[str, Make] = {
    "bitsandbytes nf4, nested": nf4,
    "bitsandbytes nf4": lambda: nf4(is_nested=False),
    "bitsandbytes nf4 in float32": lambda: nf4(torch.float32),
    "bitsandbytes nf4 in bfloat16": lambda: nf4(torch.bfloat16),
    "bitsandbytes int8": int8,
    "torchao int8": lambda: torchao(Int8WeightOnlyConfig()),
    "torchao fp8": lambda: torchao(Float8WeightOnlyConfig()),
    "GPTQ-like": lambda: around(Packed()),
    "FP8 with scales": lambda: around(Float8()),
}


def main() -> None:
    """Print a line for each model. Raises AssertionError where the outputs differ by more than the cast of the other layers."""
    warnings.simplefilter("ignore")
    print(f"{'model':36}{'recipe':10}{'before':>8}{'after':>8}  largest difference, and of an ordinary cast")
    for name, make in MODELS.items():
        for is_whole in (False, True) if not name.startswith("torchao") else (False,):  # pickle takes no whole one of those
            print(f"{name + (', whole' if is_whole else ''):36}{row(make, is_whole)}")


def row(make: Make, is_whole: bool) -> str:
    torch.manual_seed(0)
    before, numbers = make(), torch.rand(16, 32, generator=torch.Generator().manual_seed(1))
    expected = before(numbers)
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder) / "last.pt", Path(folder) / "out.pt"
        torch.save({"net": before if is_whole else before.state_dict(), "epoch": 1}, path)
        report = ptzip.slim(path, output, check=True, scan=False)
        loaded = torch.load(output, weights_only=False)["net"]
    torch.manual_seed(2)
    after = loaded if is_whole else make()
    if is_whole:
        for layer in (*after[:2], *after[3:]):
            layer.float()
    else:
        load(after, loaded)
    error, rounding = float((after(numbers) - expected).abs().max()), cast_error(before, numbers, expected)
    assert error <= 2 * rounding, f"{name_of(report)}: {error} is more than the cast of the other layers, {rounding}"
    return f"{report.recipe:10}{report.old_size:>8}{report.new_size:>8}  {error:.2g}, {rounding:.2g}; {'; '.join(report.notes)}"


def load(net: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load a state dict; weights of four bits as transformers does it (`quantizers/quantizer_bnb_4bit.py`)."""
    below = {name: state.pop(name) for name in list(state) if name.startswith("2.weight.")}
    if below:
        weight = state.pop("2.weight")
        net[2].weight = bnb.nn.Params4bit.from_prequantized(weight, below, device="cpu", module=net[2])
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["2.weight"] if below else [], []), (missing, unexpected)


def name_of(report: ptzip.SlimReport) -> str:
    return Path(report.path).name


def cast_error(net: nn.Module, numbers: torch.Tensor, expected: torch.Tensor) -> float:
    """How far the outputs move where the layers that are not quantised are rounded to float16."""
    for layer in (*net[:2], *net[3:]):
        layer.half().float()
    return max(float((net(numbers) - expected).abs().max()), 1e-6)


def write(folder: Path) -> None:
    """Write the checkpoints of all models."""
    for name, make in MODELS.items():
        torch.manual_seed(0)
        torch.save({"net": make().state_dict(), "epoch": 1}, folder / f"{name.replace(', ', '-').replace(' ', '-')}.pt")


if __name__ == "__main__":
    write(Path(sys.argv[1])) if sys.argv[1:] else main()
