"""What looks like a state of training and is kept is named by every recipe, and what is not kept is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.pickling.new_nodes import named
from tests.checkpoint_builder import CheckpointBuilder, numbers, ordered

NAMED = "looks like the state of a training, and was kept"

COUNTS = {"ready": 3, "completed": 3, "started": 3, "processed": 3}
LOOPS = {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": COUNTS, "current": COUNTS}}}
"""As `lightning.pytorch.loops` have them."""


def state_dict(one: CheckpointBuilder) -> Any:
    return ordered(**{"a.weight": one.tensor(numbers(512)), "a.bias": one.tensor(numbers(8))})


def optimizer(one: CheckpointBuilder) -> dict[str, Any]:
    return {"state": {0: {"exp_avg": one.tensor(numbers(512))}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def kept(one: CheckpointBuilder, root: Any, folder: Path, **options: Any) -> list[str]:
    """The paths that warnings name."""
    path = one.save(folder / "last.pt", root)
    report = ptzip.slim(path, folder / "slim.pt", overwrite=True, **options)
    return [warning.partition(" ")[0] for warning in report.warnings if NAMED in warning]


def gaussians(one: CheckpointBuilder) -> list[Any]:
    """As `GaussianModel.capture` of 3D Gaussian splatting lists them: parameters, statistics of each point, the optimizer."""
    parameters = [one.parameter(numbers(64 * size).reshape(64, size)) for size in (3, 45, 4)]
    statistics = [one.tensor(numbers(64)), one.tensor(numbers(64).reshape(64, 1)), one.tensor(numbers(64).reshape(64, 1))]
    return [3, *parameters, *statistics, optimizer(one), 5.0]


@pytest.mark.parametrize("container", [tuple, list])
def test_statistics_beside_parameters_and_their_optimizer_are_named(container: Callable[..., Any], tmp_path: Path) -> None:
    one = CheckpointBuilder()
    root = (container(gaussians(one)), 30_000)
    assert kept(one, root, tmp_path) == ["0.4", "0.5", "0.6"]
    assert kept(one, root, tmp_path, drop=["0.4", "0.6"]) == ["0.5"]
    assert kept(one, root, tmp_path, keep=["0.4"]) == ["0.5", "0.6"]


def test_statistics_are_named_under_keys_too(tmp_path: Path) -> None:
    one = CheckpointBuilder()
    names = ("degree", "xyz", "features", "rotation", "max_radii2D", "xyz_gradient_accum", "denom", "optimizer", "extent")
    root = {"gaussians": dict(zip(names, gaussians(one), strict=True)), "codebook": one.tensor(numbers(256))}
    assert kept(one, root, tmp_path) == ["gaussians.max_radii2D", "gaussians.xyz_gradient_accum", "gaussians.denom"]


def test_tensors_of_other_sizes_beside_parameters_are_not_named(tmp_path: Path) -> None:
    one = CheckpointBuilder()
    root = [*gaussians(one)[:4], one.tensor(numbers(9)), one.tensor(np_rows(64)), optimizer(one)]
    assert kept(one, root, tmp_path) == []


def np_rows(count: int) -> Any:
    """A number for each row that is no statistic."""
    return numbers(count, dtype="int64")


def test_the_progress_of_loops_is_named(tmp_path: Path) -> None:
    one = CheckpointBuilder()
    root = {"pytorch-lightning_version": "2.6.0", "state_dict": state_dict(one), "loops": LOOPS, "callbacks": {}}
    root["optimizer_states"] = [optimizer(one)]
    assert kept(one, root, tmp_path) == ["loops"]
    assert kept(one, root, tmp_path, drop=["loops"]) == []


def distiller(one: CheckpointBuilder, is_all_masked: bool) -> dict[str, Any]:
    """As `distiller.apputils.save_checkpoint` writes it; loading needs `quantizer_metadata`."""
    masks = {"a.weight": one.tensor(numbers(512)), "a.bias": one.tensor(numbers(8)) if is_all_masked else None}
    return {
        **{"epoch": 3, "arch": "resnet20", "is_parallel": True, "dataset": "cifar10", "extras": {"best_top1": 90.0}},
        **{"state_dict": state_dict(one), "compression_sched": {"masks_dict": masks}},
        **{"optimizer_state_dict": optimizer(one), "optimizer_type": named("torch.optim.sgd", "SGD")},
        "quantizer_metadata": {"type": named("distiller.quantization", "Quantizer"), "params": {"bits_weights": 8}},
    }


@pytest.mark.parametrize("is_all_masked", [False, True])
def test_masks_of_a_compression_schedule_and_the_class_of_the_optimizer_are_named(is_all_masked: bool, tmp_path: Path) -> None:
    one = CheckpointBuilder()
    assert kept(one, distiller(one, is_all_masked), tmp_path) == ["compression_sched", "optimizer_type"]


@pytest.mark.parametrize("settings", [{"lr": 0.1}, "SGD", {"name": "cosine", "milestones": [1, 2]}, [0.9, 0.999]])
@pytest.mark.parametrize("key", ["optimizer", "lr_scheduler", "trainer", "loops"])
def test_settings_are_not_named(key: str, settings: Any, tmp_path: Path) -> None:
    one = CheckpointBuilder()
    assert kept(one, {"model": state_dict(one), "opt": optimizer(one), "config": {key: settings}}, tmp_path) == []


@pytest.mark.parametrize("key", ["memory", "scaler", "trainer"])
def test_weights_under_a_key_that_may_be_of_a_network_are_not_named(key: str, tmp_path: Path) -> None:
    one = CheckpointBuilder()
    assert kept(one, {"model": state_dict(one), key: state_dict(one)}, tmp_path) == []


def test_a_recipe_that_goes_by_keys_names_the_states_under_others(tmp_path: Path) -> None:
    one = CheckpointBuilder()
    root = {"epoch": 1, "arch": "resnet", "state_dict": state_dict(one), "optimizer": optimizer(one), "second": optimizer(one)}
    path = one.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "slim.pt", recipe="timm")
    assert [warning for warning in report.warnings if NAMED in warning] == [f"second {NAMED} (--drop second removes it)"]


def test_what_is_kept_by_name_is_not_named_and_a_pattern_that_keeps_nothing_is(tmp_path: Path) -> None:
    one = CheckpointBuilder()
    root = {"pytorch-lightning_version": "2.6.0", "state_dict": state_dict(one), "loops": LOOPS}
    path = one.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "slim.pt", keep=["loops"])
    assert report.warnings == ("--keep loops matches nothing that would go",)
