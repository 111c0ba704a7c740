"""An Ultralytics checkpoint is stripped as the package's own `strip_optimizer` does it."""

from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.pickling.nodes import Atom, Dict, lookup
from ptzip.recipes import ultralytics
from ptzip.tree.calls import class_path
from ptzip.tree.modules import attribute
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, at, instance, model, module, node, numbers, slimmed, values_at
from tests.corpus import FIXTURES

NEW = "ultralytics.nn.tasks.DetectionModel"

BLANKED = {"optimizer", "best_fitness", "stopper", "ema", "updates", "scaler"}


def weights(builder: CheckpointBuilder, path: str = NEW, first: int = 1, **plain: Any) -> Any:
    return model(module(parameters={"w": builder.parameter(numbers(4, first))}), path=path, **plain)


def test_the_keys_of_a_fixture(tmp_path: Path) -> None:
    report = ptzip.slim(FIXTURES / "ultralytics-8.4.pt", tmp_path / "out.pt")
    assert report.recipe == "ultralytics"
    with ptzip.open(tmp_path / "out.pt") as slim, ptzip.open(FIXTURES / "ultralytics-8.4.pt") as before:
        assert slim.top_level_keys == before.top_level_keys
        none = {key for key in slim.top_level_keys if at(slim.root, key).op == "NONE"}
        assert none == BLANKED | {"modelopt"}
        assert at(slim.root, "epoch").arg == -1
        assert class_path(at(slim.root, "model")) == NEW


def test_arguments_become_a_dict_and_the_criterion_goes(tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / "ultralytics-8.4.pt", tmp_path / "out.pt")
    with ptzip.open(tmp_path / "out.pt") as slim:
        arguments = at(slim.root, "model", "args")
        assert isinstance(arguments, Dict)
        task = lookup(arguments, "task")
        assert isinstance(task, Atom)
        assert task.value == "detect"
        assert at(slim.root, "model", "criterion").op == "NONE"


@pytest.mark.torch
def test_torch_reads_the_arguments_as_a_dict(tmp_path: Path) -> None:
    from tests.torch_reference import load

    ptzip.slim(FIXTURES / "ultralytics-8.4.pt", tmp_path / "out.pt")
    found = load(tmp_path / "out.pt")["model"]
    assert found.args == {"task": "detect", "imgsz": 64, "box": 7.5, "cls": 0.5}
    assert found.criterion is None


def test_the_tensors_of_the_criterion_are_saved() -> None:
    report = ptzip.slim(FIXTURES / "ultralytics-8.4.pt", dry_run=True)
    assert "model.criterion" in [change.path for change in report.changes if change.category is Category.OTHER]
    assert report.saved[Category.OTHER] == 16 * 4  # `proj`; its stride is the model's own


def test_arguments_that_are_a_dict_already_stay(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": weights(builder, args={"task": "detect"}, criterion=None)})
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert [change.path for change in report.changes if change.path.startswith("model.")] == []


def test_a_model_without_arguments_and_criterion_gets_none(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": weights(builder)})) as slim:
        assert attribute(at(slim.root, "model"), "args") is None
        assert attribute(at(slim.root, "model"), "criterion") is None


def test_of_a_distillation_the_student_is_kept(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    children = {"teacher_model": weights(builder, first=50), "student_model": weights(builder, first=7)}
    both = module("ultralytics.nn.tasks.DistillationModel", children=children)
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": None, "ema": both})) as slim:
        assert class_path(at(slim.root, "model")) == NEW
        weight = ("model", "_modules", "model", "_modules", "0", "_parameters", "w")
        assert values_at(slim, *weight).tolist() == [7, 8, 9, 10]
        assert len(slim.storages) == 1


def test_a_student_of_another_class_is_an_ordinary_child(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    parent = module(NEW, children={"student_model": weights(builder)})
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": parent})) as slim:
        assert attribute(at(slim.root, "model"), "_modules") is not None
        assert lookup(at(slim.root, "model", "_modules"), "student_model") is not None


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        pytest.param({"model": module(NEW)}, True, id="model"),
        pytest.param({"model": None, "ema": module(NEW)}, True, id="ema"),
        pytest.param({"model": module("models.yolo.Model"), "ema": module(NEW)}, True, id="either"),
        pytest.param({"model": module("models.yolo.Model")}, False, id="another package"),
        pytest.param({"model": module("ultralytics_fork.nn.tasks.Model")}, False, id="a like name"),
        pytest.param({"model": instance(NEW, {"a": 1})}, False, id="no module"),
        pytest.param({"weights": module(NEW)}, False, id="under another key"),
    ],
)
def test_it_matches_a_module_of_the_package(values: Any, fits: bool) -> None:
    assert ultralytics.matches(node(values)) is fits
