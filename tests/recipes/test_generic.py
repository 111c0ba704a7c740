"""`generic`: of real files no weight is ever lost, and nothing that is dropped was part of one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.pickling.nodes import Step
from ptzip.recipes import generic
from ptzip.recipes.weights import find_weights as weights
from ptzip.tensors.rounding import floats, narrow
from ptzip.tensors.tensor import Tensor
from tests.checkpoint_builder import CheckpointBuilder, called, instance, module, node, numbers, ordered
from tests.corpus import parameters

OPTIMIZER = {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
SCHEDULER = {"base_lrs": [0.1], "last_epoch": 3, "_step_count": 4}
SCALER = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 3}


def checkpoint_with(**more: Any) -> tuple[CheckpointBuilder, dict[str, Any]]:
    """A checkpoint of a network, and of what else is given."""
    one = CheckpointBuilder()
    return one, {"net": {"a.weight": one.tensor(numbers(4)), "a.bias": one.tensor(numbers(2))}, **more}


def dropped(one: CheckpointBuilder, root: dict[str, Any]) -> set[str]:
    edit = one.edit(root)
    generic.drop(edit)
    return {change.path for change in edit.account.changes}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", OPTIMIZER),
        ("optim_G", OPTIMIZER),
        ("optimizers", [OPTIMIZER, OPTIMIZER]),
        ("opt", {"G": OPTIMIZER, "D": OPTIMIZER}),
        ("lr_scheduler", SCHEDULER),
        ("schedulers", [SCHEDULER]),
        ("grad_scaler", SCALER),
        ("rng_state", (3, tuple(range(625)), None)),
        ("callbacks", {"EarlyStopping": {"best": 0.5, "wait": 3}}),
    ],
)
def test_a_state_of_training_goes_by_key_and_form(key: str, value: Any) -> None:
    one, root = checkpoint_with(**{key: value})
    assert dropped(one, root) == {key}
    one, root = checkpoint_with(trainer={key: value, "step": 3})
    assert dropped(one, root) == {f"trainer.{key}"}


def test_a_random_state_of_torch_goes() -> None:
    one, root = checkpoint_with()
    root["cuda_rng_state"] = one.tensor(np.zeros(5056, np.uint8))
    assert dropped(one, root) == {"cuda_rng_state"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", {"lr": 0.1}),
        ("optimizer", "SGD"),
        ("optics", {"gamma": 2.0}),
        ("scale", {"growth": 1}),
        ("scheduler", {"name": "cosine"}),
        ("lr_model", {"last_epoch": 3, "class_names": ["a"]}),
        ("callback_outputs", {"a": 1}),
        ("rng", [1, 2, 3]),
        ("callbacks", [called("my.package", "Callback")]),
        ("callbacks", {"a": instance("my.package.Callback", {"x": 1})}),
    ],
)
def test_what_has_the_key_alone_stays(key: str, value: Any) -> None:
    one, root = checkpoint_with(**{key: value})
    assert dropped(one, root) == set()


@pytest.mark.parametrize("value", [OPTIMIZER, SCHEDULER, SCALER, [OPTIMIZER], {0: OPTIMIZER, 1: OPTIMIZER}])
def test_a_form_that_nothing_else_has_needs_no_key(value: Any) -> None:
    one, root = checkpoint_with(thing=value)
    assert dropped(one, root) == {"thing"}


def test_what_only_looks_like_a_state_stays() -> None:
    one, root = checkpoint_with()
    root["optimizer"] = {"momenta": one.tensor(numbers(4))}
    assert dropped(one, root) == set()


def test_attributes_of_objects_lose_optimizers_and_keep_generators() -> None:
    one, root = checkpoint_with(agent=instance("my.Agent", {"optim": OPTIMIZER, "rng": (3, tuple(range(625)), None)}))
    assert dropped(one, root) == {"agent.optim"}


def test_bytes_below_a_telling_key_stay() -> None:
    one, root = checkpoint_with()
    root["rng"] = {"codes": one.tensor(np.zeros(5000, np.uint8))}
    assert dropped(one, root) == set()


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    path = CheckpointBuilder().save(tmp_path / "last.pt", {"optimizer": OPTIMIZER, "epoch": 3})
    with pytest.raises(ptzip.EditError, match="this file holds the state of an optimizer and no weights: delete it"):
        ptzip.slim(path)


def test_weights_under_a_key_of_training_stay() -> None:
    one = CheckpointBuilder()
    state = {"a.weight": one.tensor(numbers(4)), "a.bias": one.tensor(numbers(2))}
    root = {"optimizer": state, "lr_scheduler": state, "callbacks": {"swa": ordered(**{"b.weight": one.tensor(numbers(3))})}}
    assert dropped(one, root) == set()


def test_modules_and_state_dicts_are_weights_wherever_they_stand() -> None:
    one = CheckpointBuilder()
    root = node(
        {
            "a": [module(parameters={"w": one.parameter(numbers(2))})],
            "b": {"c": {"x.weight": one.tensor(numbers(2))}},
            "data": {"obs": one.tensor(numbers(9)), "reward": one.tensor(numbers(9))},
            "loss": one.tensor(numbers(1)),
        }
    )
    assert [path for path, _ in weights(root)] == ["a.0", "b.c"]


def values(tensor: Tensor) -> Any:
    return np.frombuffer(tensor.tobytes(), np.uint8)


def expected(tensor: Tensor, dtype: str) -> Any:
    """The bytes of a tensor once it is cast."""
    if tensor.dtype == dtype:
        return values(tensor)
    bits, _ = narrow(floats(tensor.tobytes(), tensor.dtype), dtype)
    return bits.view(np.uint8)


@pytest.mark.parametrize("path", parameters("real"))
def test_no_weight_of_a_real_file_is_lost(path: Path, tmp_path: Path) -> None:
    try:
        report = ptzip.slim(path, tmp_path / "out.pt", recipe="generic", scan=False, with_tensors=True)
    except (ptzip.PtzipError, OSError) as error:
        pytest.skip(str(error)[:80])
    if report.already_slim:
        return
    gone = [change.path for change in report.changes if change.what.startswith("removed")]
    with ptzip.open(path) as before, ptzip.open(tmp_path / "out.pt") as after:
        parts = [] if before.collection else [found for found, _ in weights(before.root)]
        assert not any(f"{found}.".startswith(f"{lost}.") for found in parts for lost in gone)
        left = after.tensors()
        for name, tensor in before.tensors().items():
            if any(name == lost or name.startswith(f"{lost}.") for lost in gone):
                continue
            new = left[name]
            assert (new.shape, new.requires_grad) == (tensor.shape, tensor.requires_grad), name
            if tensor.storage is not None and tensor.layout == "strided":
                np.testing.assert_array_equal(values(new), expected(tensor, new.dtype), err_msg=name)
                assert new.dtype == tensor.dtype or name in {one for cast in report.tensors for one in cast.names}


def names_of(one: CheckpointBuilder, *names: str) -> dict[str, Any]:
    return {name: one.tensor(numbers(4)) for name in names}


def test_the_names_of_recurrent_layers_are_those_of_weights() -> None:
    one = CheckpointBuilder()
    assert [path for path, _ in weights(node({"net": names_of(one, "weight_ih_l0", "weight_hh_l0", "bias_ih_l0")}))] == ["net"]


def test_a_state_dict_of_a_module_is_known_whatever_its_names_are() -> None:
    one = CheckpointBuilder()
    state = ordered(**names_of(one, "A_log", "D", "W"))
    assert [path for path, _ in weights(node({"net": state}))] == []
    state.steps.append(Step("BUILD", items=[node({"_metadata": ordered()})]))
    assert [path for path, _ in weights(node({"net": state}))] == ["net"]


def test_a_list_of_averages_in_a_tuple_is_weights_by_the_key_above() -> None:
    one = CheckpointBuilder()
    averages = [one.tensor(numbers(4)), one.tensor(numbers(2))]
    assert [path for path, _ in weights(node({"ema": (0.99, averages), "exp_avg": (1, averages[:1])}))] == ["ema.1"]
