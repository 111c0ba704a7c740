"""What becomes of a YOLOv5 checkpoint is decided by what its layout shows of the version that wrote it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.pickling.nodes import Atom, Call, Node, lookup
from ptzip.recipes import yolov5
from ptzip.tensors.references import REQUIRES_GRAD, parameter_arguments
from ptzip.tree.modules import parameter_slots
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, model, module, node, numbers, slimmed
from tests.corpus import FIXTURES


@dataclass(frozen=True)
class Outcome:
    """What is expected of one layout: which keys are None afterwards, the epoch, and whether gradients are left."""

    none: str
    epoch: int = -1
    gradients: bool = False

    @property
    def keys(self) -> set[str]:
        return set(self.none.split())


LAYOUTS = {
    "yolov5-v1.0": Outcome("optimizer", epoch=41),
    "yolov5-v4.0": Outcome("optimizer training_results"),
    "yolov5-v5.0": Outcome("optimizer training_results wandb_id ema updates"),
    "yolov5-v6.0": Outcome("optimizer training_results wandb_id ema updates"),
    "yolov5-v6.2": Outcome("optimizer best_fitness wandb_id ema updates"),
    "yolov5-v7.0-adam": Outcome("optimizer best_fitness ema updates"),
    "training": Outcome("optimizer best_fitness ema updates"),
    "extremes": Outcome("optimizer best_fitness ema updates"),
    "sharing": Outcome("optimizer best_fitness ema updates"),
    "cuda": Outcome("optimizer best_fitness ema updates"),
}


def none_keys(checkpoint: ptzip.Checkpoint) -> set[str]:
    found = {key: lookup(checkpoint.root, key) for key in checkpoint.top_level_keys}
    return {key for key, value in found.items() if isinstance(value, Atom) and value.value is None}


def gradients(checkpoint: ptzip.Checkpoint, key: str = "model") -> set[bool]:
    """The flags of all parameters."""
    root = lookup(checkpoint.root, key)
    assert root is not None
    flags = [parameter_arguments(slot.node)[REQUIRES_GRAD] for slot in parameter_slots(root) if slot.node.op != "NONE"]
    return {flag.value for flag in flags if isinstance(flag, Atom)}


def epoch(checkpoint: ptzip.Checkpoint) -> Any:
    found = lookup(checkpoint.root, "epoch")
    assert isinstance(found, Atom)
    return found.value


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_stripped_as_the_version_that_wrote_it_does(name: str, tmp_path: Path) -> None:
    outcome = LAYOUTS[name]
    report = ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "out.pt")
    assert report.recipe == "yolov5"
    with ptzip.open(tmp_path / "out.pt") as slim:
        assert none_keys(slim) == outcome.keys
        assert epoch(slim) == outcome.epoch
        assert gradients(slim) == {outcome.gradients}


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys_that_were_there_stay_in_their_order(name: str, tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "out.pt")
    with ptzip.open(FIXTURES / f"{name}.pt") as before, ptzip.open(tmp_path / "out.pt") as after:
        assert after.top_level_keys[: len(before.top_level_keys)] == before.top_level_keys
        assert epoch(before) == 41
        assert set(after.top_level_keys[len(before.top_level_keys) :]) <= LAYOUTS[name].keys


def test_the_fixtures_had_gradients_before() -> None:
    with ptzip.open(FIXTURES / "training.pt") as checkpoint:
        assert gradients(checkpoint) == {True}
    with ptzip.open(FIXTURES / "yolov5-v7.0-adam.pt") as checkpoint:
        assert gradients(checkpoint) == {True}
        assert gradients(checkpoint, "ema") == {False}


def test_the_first_release_keeps_its_gradients(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = model(module(parameters={"w": builder.parameter(numbers(2))}), path="models.yolo.Model", md={"nc": 80})
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": root})) as slim:
        assert gradients(slim) == {True}
        assert epoch(slim) == 3
        assert none_keys(slim) == {"optimizer"}


def head(builder: CheckpointBuilder, with_list: bool) -> Call:
    """A last layer whose grids are a list, or a buffer."""
    grids = builder.tensor(numbers(1))
    plain: dict[str, Any] = {"stride": builder.tensor(numbers(3)), "grid": [grids]}
    if with_list:
        return module("models.yolo.Detect", {}, {}, {}, anchor_grid=[grids], **plain)
    return module("models.yolo.Detect", {}, {"anchor_grid": grids}, {}, **plain)


V5, LATER = "optimizer training_results wandb_id ema updates", "optimizer best_fitness ema updates"


@pytest.mark.parametrize(
    ("name", "with_list", "more", "none"),
    [
        pytest.param("Model", False, {}, "optimizer training_results", id="v2.0 to v3.1"),
        pytest.param("Model", False, {"wandb_id": "1"}, "optimizer training_results", id="v4.0"),
        pytest.param("Model", False, {"ema": None}, V5, id="v5.0, YOLOv7"),
        pytest.param("Model", True, {"ema": None}, V5, id="v6.0"),
        pytest.param("Model", True, {}, V5, id="a model of v6.0 in the old layout"),
        pytest.param("Model", True, {"date": "now", "wandb_id": "1"}, LATER + " wandb_id", id="v6.1"),
        pytest.param("DetectionModel", True, {"date": "now"}, LATER, id="v7.0"),
        pytest.param("SegmentationModel", True, {"ema": None}, LATER, id="v7.0 without a date"),
        pytest.param("DetectionModel", True, {}, LATER, id="a model of v7.0 in the old layout"),
        pytest.param("ClassificationModel", False, {"date": "now", "ema": None}, LATER, id="a classifier"),
    ],
)
def test_the_version_is_told_by_keys_grids_and_the_name_of_the_class(
    tmp_path: Path, name: str, with_list: bool, more: dict[str, Any], none: str
) -> None:
    builder = CheckpointBuilder()
    weights = module(parameters={"w": builder.parameter(numbers(9))})
    root = model(weights, head(builder, with_list), path=f"models.yolo.{name}")
    optimizer = {"state": builder.tensor(numbers(9))}
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": root, "optimizer": optimizer, "updates": 9} | more)
    expected = set(none.split()) | {key for key, value in more.items() if value is None}
    with slimmed(path, recipe="yolov5") as slim:
        assert none_keys(slim) == expected


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        pytest.param(DEFAULTS | {"model": module()}, True, id="model"),
        pytest.param(DEFAULTS | {"model": None, "ema": module()}, True, id="ema"),
        pytest.param(DEFAULTS | {"model": {"w": 1}}, False, id="no module"),
        pytest.param({"model": module(), "epoch": 1}, False, id="no optimizer"),
        pytest.param({"model": module(), "optimizer": None}, False, id="no epoch"),
        pytest.param([1, 2], False, id="no dict"),
    ],
)
def test_it_matches_a_module_beside_epoch_and_optimizer(values: Any, fits: bool) -> None:
    root: Node = node(values)
    assert yolov5.matches(root) is fits
