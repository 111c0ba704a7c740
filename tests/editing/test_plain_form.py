"""`--plain`: what comes of it loads with `weights_only=True`, and holds the same numbers."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.formats.collection import Collection
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Dict, Node, Step
from tests.checkpoint_builder import CheckpointBuilder, called, instance, module, node, numbers, ordered
from tests.corpus import parameters

SUBCLASSES = frozenset({"nested_jagged.pt", "wrapper_subclass_twotensor.pt"})
"""Tensors of classes of their own, which no spelling makes plain."""

UNLOADABLE = "dtype_float8_legacy_unloadable.pt"
"""A file that torch wrote and cannot read itself."""


def dtype(code: str, order: str = "<") -> Node:
    made = called("numpy", "dtype", code, False, True)
    made.steps.append(Step("BUILD", items=[node((3, order, None, None, None, -1, -1, 0))]))
    return made


def raw(data: bytes) -> Node:
    return called("_codecs", "encode", data.decode("latin-1"), "latin1")


def array(values: Any, fortran: bool = False) -> Node:
    data = np.asarray(values, "<f4")
    start = (named("numpy", "ndarray"), node((0,)), raw(b"b"))
    made = called("numpy.core.multiarray", "_reconstruct", *start)
    made.steps.append(Step("BUILD", items=[node((1, data.shape, dtype("f4"), fortran, raw(data.tobytes("A"))))]))
    return made


def loaded(tmp_path: Path, builder: CheckpointBuilder, root: Any, **options: Any) -> Any:
    """What torch makes of the plain file, without any class."""
    import torch

    path = builder.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "out.pt", plain=True, **options)
    return torch.load(report.output or path, weights_only=True)


@pytest.mark.torch
def test_values_that_need_a_class_become_plain(tmp_path: Path) -> None:
    counted = called("collections", "defaultdict", named("builtins", "list"))
    counted.steps.append(Step("SETITEMS", items=[node("a"), node([1])]))
    root = {
        "fitness": called("numpy.core.multiarray", "scalar", dtype("f8"), raw(np.float64(0.25).tobytes())),
        "big": called("numpy.core.multiarray", "scalar", dtype("i4", ">"), raw((77).to_bytes(4, "big"))),
        "flag": called("numpy.core.multiarray", "scalar", dtype("b1"), raw(b"\x01")),
        "groups": counted,
        "args": instance("argparse.Namespace", {"lr": 0.1, "names": ["a", "b"]}),
        "config": instance("my.package.Config", {"depth": 3, "inner": instance("my.package.Other", {"x": 1})}),
        "colour": called("my.package", "Colour", 2),
        "path": called("pathlib", "PosixPath", "runs", "exp", "weights"),
        "act": named("torch.nn.modules.activation", "SiLU"),
        "kept": ordered(a=1),
    }
    assert loaded(tmp_path, CheckpointBuilder(), root) == {
        "fitness": 0.25,
        "big": 77,
        "flag": True,
        "groups": {"a": [1]},
        "args": {"lr": 0.1, "names": ["a", "b"]},
        "config": {"depth": 3, "inner": {"x": 1}},
        "colour": 2,
        "path": "runs/exp/weights",
        "act": "torch.nn.modules.activation.SiLU",
        "kept": {"a": 1},
    }


@pytest.mark.torch
@pytest.mark.parametrize("fortran", [False, True])
def test_an_array_becomes_a_tensor(fortran: bool, tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    values = np.asfortranarray(values) if fortran else values
    found = loaded(tmp_path, CheckpointBuilder(), {"mean": array(values, fortran)}, dtype="keep")["mean"]
    np.testing.assert_array_equal(found.numpy(), values)


@pytest.mark.torch
def test_a_module_becomes_its_state_dict(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    shared = builder.parameter(numbers(4))
    inner = module(
        parameters={"weight": shared, "bias": None},
        buffers={"mean": builder.tensor(numbers(2)), "temp": builder.tensor(numbers(1))},
    )
    inner_state = inner.steps[-1].items[0]
    assert isinstance(inner_state, Dict)
    inner_state.steps[-1].items += [node("_non_persistent_buffers_set"), called("builtins", "set", ["temp"])]
    model = module(children={"0": inner, "tied": module(parameters={"weight": shared})})
    found = loaded(tmp_path, builder, {"model": model, "epoch": 1, "optimizer": None})
    assert list(found["model"]) == ["0.weight", "0.mean", "tied.weight"]
    assert {str(tensor.dtype) for tensor in found["model"].values()} == {"torch.float16"}
    assert found["model"]["0.weight"].data_ptr() == found["model"]["tied.weight"].data_ptr()
    assert found["model"]["0.weight"].tolist() == [1, 2, 3, 4]


@pytest.mark.torch
def test_what_stands_in_two_places_still_does(tmp_path: Path) -> None:
    shared = instance("my.package.Config", {"x": 1})
    found = loaded(tmp_path, CheckpointBuilder(), {"a": shared, "b": [shared]})
    assert found["a"] is found["b"][0]


@pytest.mark.torch
def test_keys_stay_keys(tmp_path: Path) -> None:
    key = instance("my.package.Key", {"x": 1})
    builder = Dict("EMPTY_DICT", None, [], [Step("SETITEMS", items=[key, node(1), named("my.package", "Other"), node(2)])])
    found = loaded(tmp_path, CheckpointBuilder(), {"a": builder})
    assert sorted(found["a"].values()) == [1, 2]
    assert all(isinstance(key, str) for key in found["a"])


def test_what_is_plain_already_is_left_alone(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"w": builder.tensor(numbers(3, dtype="float16")), "n": ordered(a=1)})
    assert ptzip.slim(path, plain=True).already_slim


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", [*parameters("format"), *parameters("yolo"), *parameters("real")])
def test_every_file_that_can_be_written_loads_without_any_class(path: Path, tmp_path: Path) -> None:
    import torch

    try:
        report = ptzip.slim(path, tmp_path / "out.pt", plain=True, recipe="generic", scan=False)
    except (ptzip.PtzipError, OSError) as error:
        pytest.skip(str(error)[:80])
    if path.name in SUBCLASSES:
        assert any("a class that weights_only does not allow" in warning for warning in report.warnings)
        return
    if path.name != UNLOADABLE and path.suffix != ".safetensors":  # torch does not load these
        for data in checkpoints(Path(report.output or path)):
            torch.load(io.BytesIO(data), weights_only=True)


def checkpoints(path: Path) -> list[bytes]:
    """A checkpoint, or those inside a zip or tar of files."""
    with ptzip.open(path) as opened:
        container = opened.container
        if not isinstance(container, Collection):
            return [path.read_bytes()]
        files = [container.opened(name, DEFAULT_LIMITS) for name in container.checkpoints]
        return [file.read(0, file.size) for file in files]


@pytest.mark.parametrize("names", [("weight_ih_l0", "bias_hh_l0"), ("0", "1"), ("A_log", "D")])
def test_the_state_dict_of_a_module_is_cast_as_the_module_is(names: tuple[str, ...], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    net = module(parameters={name: builder.tensor(np.ones(400, "f4")) for name in names})
    path = builder.save(tmp_path / "last.pt", {"net": net})
    ptzip.slim(path, tmp_path / "plain.pt", plain=True, scan=False)
    with ptzip.open(tmp_path / "plain.pt") as checkpoint:
        assert {name: tensor.dtype for name, tensor in checkpoint.items()} == dict.fromkeys(
            (f"net.{name}" for name in names), "float16"
        )
