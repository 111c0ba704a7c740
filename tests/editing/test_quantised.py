"""Quantised weights are units: no float of a module that holds one is cast, and honest integers stop nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Call
from tests.checkpoint_builder import CheckpointBuilder, called, instance, model, module, node, numbers, ordered

NF4, INT8, FP8 = "bitsandbytes nf4", "bitsandbytes int8", "FP8"
LAYOUTS: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    NF4: {
        "0.weight": ("uint8", (64, 1)),
        "0.bias": ("float32", (8,)),
        "0.weight.absmax": ("float32", (2,)),
        "0.weight.quant_map": ("float32", (16,)),
        "0.weight.nested_absmax": ("float32", (1,)),
        "0.weight.quant_state.bitsandbytes__nf4": ("uint8", (90,)),
    },
    f"{NF4} in float32": {
        "0.weight": ("float32", (16, 1)),
        "0.weight.absmax": ("float32", (2,)),
        "0.weight.quant_state.bitsandbytes__nf4": ("uint8", (90,)),
    },
    f"{NF4} at the top": {"weight": ("uint8", (64, 1)), "bias": ("float32", (8,)), "weight.absmax": ("float32", (2,))},
    f"{NF4} of experts": {
        "experts.gate_up_proj": ("uint8", (64, 1)),
        "experts.gate_up_proj.absmax": ("float32", (2,)),
        "experts.bias": ("float32", (4,)),
    },
    INT8: {"0.weight": ("int8", (8, 8)), "0.SCB": ("float32", (8,)), "0.weight_format": ("uint8", ())},
    "GPTQ": {
        "0.qweight": ("int32", (8, 8)),
        "0.qzeros": ("int32", (1, 1)),
        "0.scales": ("float32", (1, 8)),
        "0.g_idx": ("int32", (64,)),
        "0.bias": ("float32", (8,)),
    },
    "compressed-tensors": {
        "0.weight_packed": ("int32", (8, 2)),
        "0.weight_scale": ("float32", (8, 1)),
        "0.weight_shape": ("int64", (2,)),
        "attn.k_scale": ("float32", ()),
    },
    "torch.ao": {"0.scale": ("float32", (1,)), "0.zero_point": ("int64", (1,))},
    "fake quantisation": {"0.weight_fake_quant.scale": ("float32", (1,)), "0.weight_fake_quant.zero_point": ("int32", (1,))},
    "quanto": {
        "0.weight._data": ("int8", (8, 8)),
        "0.weight._scale": ("float32", (8, 1)),
        "0.input_scale": ("float32", ()),
        "0.output_scale": ("float32", ()),
    },
    f"{NF4}, the weight in another shard": {"0.weight.absmax": ("float32", (2,)), "0.weight.quant_map": ("float32", (16,))},
    "a vector of int8": {"0.packed": ("int8", (64,)), "0.packed_scale": ("float32", (8,)), "0.bias": ("float32", (8,))},
    "one row of int8": {"0.weight": ("int8", (1, 64)), "0.scale": ("float32", (1,))},
    f"{FP8}, the weight in another shard": {"0.weight_scale_inv": ("float32", (8, 1))},
}
HONEST: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    "batch norm": {
        "bn.weight": ("float32", (8,)),
        "bn.running_var": ("float32", (8,)),
        "bn.num_batches_tracked": ("int64", ()),
    },
    "positions": {"embeddings.class_embedding": ("float32", (8,)), "embeddings.position_ids": ("int64", (1, 50))},
    "positions in int32": {"embeddings.cls": ("float32", (8,)), "embeddings.position_ids": ("int32", (1, 50))},
    "Swin": {
        "attn.relative_position_bias_table": ("float32", (9, 3)),
        "attn.relative_position_index": ("int64", (4, 4)),
    },
    "GPT-2": {"attn.bias": ("uint8", (1, 1, 8, 8)), "attn.masked_bias": ("float32", ())},
    "counters": {"ema.num_updates": ("int32", ()), "ema.decay": ("float32", ())},
    "masks": {"attn.in_proj_weight": ("float32", (9, 3)), "attn.mask": ("bool", (9, 9))},
    "Swin 2": {"attn.logit_scale": ("float32", (3, 1, 1)), "attn.relative_position_index": ("int64", (4, 4))},
    "a count beside a scale": {"norm.scale": ("float32", (4,)), "norm.count": ("int32", ())},
    "scales": {"clip.logit_scale": ("float32", ()), "norm.scale": ("float32", (4,))},
}
LARGE = {"head.weight": ("float32", (40, 40)), "head.bias": ("float32", (40,))}


def state(builder: CheckpointBuilder, layout: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, Call]:
    return {name: builder.tensor(np.ones(shape, dtype)) for name, (dtype, shape) in layout.items()}


def dtypes(path: Path | str) -> dict[str, str]:
    with ptzip.open(path) as checkpoint:
        return {name: tensor.dtype for name, tensor in checkpoint.items()}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_module_with_a_quantised_weight_is_left_alone(layout: dict[str, Any], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", state(builder, layout | LARGE))
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    found = dtypes(tmp_path / "out.pt")
    assert {name: found[name] for name in layout} == {name: dtype for name, (dtype, _) in layout.items()}
    assert (found["head.weight"], found["head.bias"]) == ("float16", "float16")
    floats = sum(dtype == "float32" for dtype, _ in layout.values())
    what = "companions" if floats > 1 else "companion"
    assert report.notes == (f"not cast: {floats} {what} of quantised weights, which loaders take as saved",)
    assert report.check is not None
    assert report.check.companions == floats


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_companions_stay_whatever_dtype_is_asked_for(dtype: Any, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", state(builder, LAYOUTS[NF4] | LARGE))
    ptzip.slim(path, tmp_path / "out.pt", dtype=dtype)
    assert dtypes(tmp_path / "out.pt")["0.weight.absmax"] == "float32"


@pytest.mark.parametrize("layout", HONEST.values(), ids=HONEST)
def test_honest_integers_stop_no_cast(layout: dict[str, Any], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", state(builder, layout | LARGE))
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert report.notes == ()
    assert dtypes(tmp_path / "out.pt") == {
        name: "float16" if dtype == "float32" else dtype for name, (dtype, _) in (layout | LARGE).items()
    }


def test_a_dict_of_nothing_but_quantised_weights_is_slim_already(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", state(builder, LAYOUTS[NF4]))
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert report.already_slim
    assert report.notes
    assert (tmp_path / "out.pt").read_bytes() == path.read_bytes()


def typed(builder: CheckpointBuilder, dtype: str) -> Call:
    """A tensor of a dtype that has no storage class."""
    stored = builder.tensor(np.ones(64, np.uint8))
    return called(
        "torch._utils", "_rebuild_tensor_v3", *stored.arguments[:1], 0, (8, 8), (8, 1), False, ordered(), named("torch", dtype)
    )


def wrapper(builder: CheckpointBuilder, path: str) -> Call:
    """A tensor of a wrapper subclass."""
    home, _, name = path.rpartition(".")
    given = (named(home, name), named("torch", "float32"), (8, 8), (8, 1), 0, named("torch", "strided"), "cpu", False)
    inner = {"qdata": builder.tensor(np.ones((8, 8), np.int8)), "scale": builder.tensor(numbers(8))}
    function = named("torch._utils", "_rebuild_wrapper_subclass")
    return called("torch._tensor", "_rebuild_from_type_v2", function, named(home, name), node(given), inner)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "torchao.quantization.Int8Tensor"])
def test_weights_that_are_no_plain_tensors_have_companions_too(kind: str, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    weight = wrapper(builder, kind) if "." in kind else typed(builder, kind)
    layout = {"0.weight_scale": ("float32", (8, 1)), "0.bias": ("float32", (8,)), **LARGE}
    path = builder.save(tmp_path / "last.pt", {"model": {"0.weight": weight} | state(builder, layout)})
    ptzip.slim(path, tmp_path / "out.pt", scan=False)
    found = dtypes(tmp_path / "out.pt")
    assert (found["model.0.weight_scale"], found["model.0.bias"], found["model.head.bias"]) == ("float32", "float32", "float16")


def test_modules_that_hold_quantised_weights_are_left_alone(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    quantised = module(
        parameters={"bias": builder.parameter(numbers(4))},
        buffers={"weight": builder.tensor(np.ones((4, 4), np.int8)), "scales": builder.tensor(numbers(4))},
    )
    honest = module(
        parameters={"weight": builder.parameter(numbers(400))}, buffers={"seen": builder.tensor(np.ones(1, np.int64))}
    )
    path = builder.save(tmp_path / "last.pt", {"net": model(quantised, honest, path="my.Net")})
    ptzip.slim(path, tmp_path / "out.pt")
    found = dtypes(tmp_path / "out.pt")
    assert sorted(found.values()) == ["float16", "float32", "float32", "int64", "int8"]


def test_packed_weights_in_floats_are_known_by_their_state(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    attributes = {"quant_state": instance("bitsandbytes.functional.QuantState", {"code": builder.tensor(numbers(16))})}
    packed = called("torch._utils", "_rebuild_parameter_with_state", builder.tensor(numbers(64)), False, ordered(), attributes)
    layers = module(parameters={"weight": packed}), module(parameters={"weight": builder.parameter(numbers(400))})
    path = builder.save(tmp_path / "last.pt", {"net": model(*layers, path="my.Net")})
    ptzip.slim(path, tmp_path / "out.pt", scan=False)
    found = dtypes(tmp_path / "out.pt")
    assert (found["net.model.0.weight"], found["net.model.1.weight"]) == ("float32", "float16")
