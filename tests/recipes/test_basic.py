"""Recipe `basic` leaves a dict of exactly five keys, with the raw model; it says what it needs where that is missing."""

import time
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import EditError
from ptzip.io.payloads import read_all
from ptzip.recipes import basic
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, at, dtype_at, module, node, numbers, slimmed, tensor_at
from tests.corpus import FIXTURES
from tests.torch_zips import storage_record

FIVE = ["epoch", "best_fitness", "training_results", "model", "optimizer"]

WITH_MODEL = sorted(path.stem for path in FIXTURES.glob("*.pt") if path.stem != "ultralytics-8.4")


@pytest.mark.parametrize("name", WITH_MODEL)
def test_five_keys_are_left(name: str, tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "out.pt", recipe="basic")
    with ptzip.open(tmp_path / "out.pt") as slim:
        assert sorted(slim.top_level_keys) == sorted(FIVE)
        assert at(slim.root, "epoch").arg == -1
        assert at(slim.root, "training_results").op == at(slim.root, "optimizer").op == "NONE"
        assert at(slim.root, "best_fitness").op != "NONE"


def test_the_raw_model_is_kept_not_the_average(tmp_path: Path) -> None:
    source = FIXTURES / "yolov5-v7.0-adam.pt"
    weight = ("_modules", "model", "_modules", "0", "_modules", "conv", "_parameters", "weight")
    ptzip.slim(source, tmp_path / "out.pt", recipe="basic")
    assert bytes_at(tmp_path / "out.pt", "model", *weight) == bytes_at(source, "model", *weight)
    assert bytes_at(source, "model", *weight) != bytes_at(source, "ema", *weight)


def bytes_at(path: Path, *place: str) -> bytes:
    with ptzip.open(path) as checkpoint:
        return read_all(storage_record(checkpoint, tensor_at(checkpoint, *place).storage.key).payload)


def test_missing_keys_are_added_as_none(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"model": {"w": builder.tensor(numbers(4))}, "args": {"lr": 1}})
    with slimmed(path, recipe="basic") as slim:
        assert sorted(slim.top_level_keys) == sorted(FIVE)
        assert {key: at(slim.root, key).op for key in ("best_fitness", "training_results", "optimizer")} == dict.fromkeys(
            ("best_fitness", "training_results", "optimizer"), "NONE"
        )
        assert dtype_at(slim, "model", "w") == "float16"


def test_gradients_are_left_as_they_are(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": module(parameters={"w": builder.parameter(numbers(4))})})
    with slimmed(path, recipe="basic") as slim:
        parameters = at(slim.root, "model", "_parameters")
        flags = [each.parts[1].parts[1].op for each in parameters.steps[-1].items[1::2]]
        assert flags == ["NEWTRUE"]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        pytest.param(None, "nothing", id="None"),
        pytest.param({}, "something else", id="an empty dict"),
        pytest.param({"a": {"b": 1}}, "something else", id="a dict without tensors"),
        pytest.param([1, 2], "something else", id="a list"),
        pytest.param("weights", "something else", id="a text"),
    ],
)
def test_a_model_that_is_no_module_and_no_dict_of_tensors_is_refused(tmp_path: Path, model: Any, found: str) -> None:
    path = CheckpointBuilder().save(tmp_path / "last.pt", DEFAULTS | {"model": model})
    with pytest.raises(EditError, match=f"under the key model, and {found} is there"):
        ptzip.slim(path, recipe="basic")


def test_ultralytics_has_no_raw_model() -> None:
    with pytest.raises(EditError, match="under the key model, and nothing is there"):
        ptzip.slim(FIXTURES / "ultralytics-8.4.pt", recipe="basic", dry_run=True)


def test_it_matches_the_five_keys_around_a_dict_of_tensors_only() -> None:
    builder = CheckpointBuilder()
    weights = {"w": builder.tensor(numbers(1))}
    assert basic.matches(node(DEFAULTS | {"model": weights}))
    assert not basic.matches(node(DEFAULTS | {"model": weights, "more": 1}))
    assert not basic.matches(node({"model": weights}))
    assert not basic.matches(node(DEFAULTS | {"model": module()}))
    assert not basic.matches(node(DEFAULTS | {"model": None}))
    assert not basic.matches(node([1]))


def test_twenty_thousand_other_keys_take_no_longer_than_reading_them(tmp_path: Path) -> None:
    """The changes of all keys were looked through for each key, which took more than a minute."""
    builder = CheckpointBuilder()
    root = DEFAULTS | {"model": module(parameters={"w": builder.parameter(numbers(2))})} | {f"k{n}": n for n in range(20_000)}
    path = builder.save(tmp_path / "last.pt", root)
    start = time.process_time()
    report = ptzip.slim(path, dry_run=True, recipe="basic")
    assert time.process_time() - start < 10
    assert [key.what for key in report.keys].count("removed") == 20_000
