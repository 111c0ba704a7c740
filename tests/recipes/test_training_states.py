"""States of training in checkpoints that torch wrote, in the layouts that frameworks and scripts have: they go, the file loads,
and what is left is equal up to the cast."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptzip

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def trained() -> tuple[Any, Any, Any, Any]:
    """A network, its optimizer with a state, a scheduler and a gradient scaler."""
    net = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 4))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    net(torch.randn(8, 16)).square().mean().backward()
    optimizer.step()
    scheduler.step()
    return net, optimizer, scheduler, torch.amp.GradScaler("cpu")


def in_lists() -> Any:
    net, optimizer, scheduler, _ = trained()
    return [{"model": net.state_dict(), "optimizer": optimizer.state_dict()}, [optimizer.state_dict(), scheduler.state_dict()]]


def in_a_tuple() -> Any:
    net, optimizer, *_ = trained()
    return (net.state_dict(), optimizer.state_dict(), 7)


def under_numbers() -> Any:
    net, optimizer, *_ = trained()
    return {"nets": {0: net.state_dict()}, "states": {0: optimizer.state_dict(), 1: {"a": optimizer.state_dict()}}}


def five_levels_deep() -> Any:
    net, optimizer, scheduler, scaler = trained()
    inner = {"optimizer": optimizer.state_dict(), "sched": scheduler.state_dict(), "scaler": scaler.state_dict(), "n": 1}
    return {"a": {"b": {"c": {"d": {"e": {"f": inner, "net": net.state_dict()}}}}}}


def as_objects() -> Any:
    net, optimizer, scheduler, scaler = trained()
    return {"model": net, "epoch": 3, "optimizer": optimizer, "lr_scheduler": scheduler, "scaler": scaler, "again": [optimizer]}


def beside_their_weights() -> Any:
    net, optimizer, *_ = trained()
    return {"model": net.state_dict(), "optimizer": optimizer}


def in_an_object() -> Any:
    net, optimizer, scheduler, _ = trained()
    net.optimizer, net.scheduler = optimizer, scheduler
    return net


def of_a_gan() -> Any:
    (g, opt_g, *_), (d, opt_d, *_) = trained(), trained()
    states = {"opt_g": opt_g.state_dict(), "opt_d": opt_d.state_dict()}
    return {"G": g.state_dict(), "D": d.state_dict(), "optim": states, "rng": {"torch": torch.get_rng_state()}}


def of_an_agent() -> Any:
    net, optimizer, *_ = trained()
    target, _, _, _ = trained()
    parts = {"actor": net.state_dict(), "actor_target": target.state_dict()}
    return {"agent": parts | {"actor_optimizer": optimizer.state_dict(), "log_alpha_optim": optimizer.state_dict()}, "steps": 9}


def with_generators() -> Any:
    import random

    import numpy as np

    net, *_ = trained()
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    return {"model": net.state_dict(), "rng_states": [states], "cuda_rng_state_all": [torch.zeros(16, dtype=torch.uint8)]}


LAYOUTS: list[Callable[[], Any]] = [
    *(in_lists, in_a_tuple, under_numbers, five_levels_deep, as_objects, beside_their_weights, in_an_object, of_a_gan),
    *(of_an_agent, with_generators),
]


def tensors(value: Any, path: str = "") -> dict[str, Any]:
    """Every tensor in an object by its path, those of states of training left out."""
    if isinstance(value, torch.Tensor):
        return {path: value.detach()}
    if isinstance(value, torch.nn.Module):
        return {f"{path}.{name}": tensor for name, tensor in value.state_dict().items()}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {name: tensor for key, inner in items for name, tensor in tensors(inner, f"{path}.{key}").items()}


def slim(path: Path, value: Any, **options: Any) -> tuple[Any, ptzip.SlimReport]:
    """What torch loads after slimming."""
    torch.save(value, path)
    report = ptzip.slim(path, path.with_suffix(".slim"), check="keep" not in options, **options)
    return torch.load(report.output, weights_only=False), report


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_states_go_and_what_is_left_is_equal_up_to_the_cast(layout: Callable[[], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    value = layout()
    after, report = slim(tmp_path / "last.pt", value)
    assert report.recipe == "generic"
    assert report.warnings == ()
    before, left = tensors(value), tensors(after)
    assert left
    for name, tensor in left.items():
        assert tensor.dtype == (torch.float16 if before[name].is_floating_point() else before[name].dtype)
        assert torch.equal(tensor, before[name].to(tensor.dtype)), name
    gone = before.keys() - left.keys()
    assert all(".state." in name or "rng" in name for name in gone), gone
    data = pickle.dumps(after)
    assert not any(word in data for word in (b"exp_avg", b"param_groups", b"_step_count", b"growth_factor", b"MT19937"))


@pytest.mark.parametrize("layout", [as_objects, in_a_tuple, of_a_gan], ids=lambda layout: layout.__name__)
def test_what_is_kept_keeps_its_references(layout: Callable[[], Any], tmp_path: Path) -> None:
    value = layout()
    kept = {"as_objects": "lr_scheduler", "in_a_tuple": "1", "of_a_gan": "optim.opt_g"}[layout.__name__]
    after, _ = slim(tmp_path / "last.pt", value, keep=[kept])
    if layout is as_objects:
        assert after["lr_scheduler"].optimizer.param_groups
        assert "optimizer" not in after
    elif layout is in_a_tuple:
        assert after[1]["state"].keys() == value[1]["state"].keys()
    else:
        assert after["optim"].keys() == {"opt_g"}


def test_averages_are_cast_as_weights_and_named(tmp_path: Path) -> None:
    net, *_ = trained()
    shadow = {"decay": 0.99, "num_updates": 3, "shadow_params": [one.detach().clone() for one in net.parameters()]}
    value = {
        "model": net.state_dict(),
        "ema": shadow,
        "g": {"params": net.state_dict(), "params_ema": trained()[0].state_dict()},
    }
    after, report = slim(tmp_path / "last.pt", value)
    assert {one.dtype for one in after["ema"]["shadow_params"]} == {torch.float16}
    assert {one.dtype for name, one in after["g"]["params_ema"].items() if "num" not in name} == {torch.float16}
    assert len(report.notes) == 1
    assert "ema.shadow_params, g.params_ema (averaged weights)" in report.notes[0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: {"epoch": 1, "optimizers": [trained()[1].state_dict()]}, "the state of an optimizer and no weights"),
        (lambda: trained()[1], "the state of an optimizer and no weights"),
        (lambda: {"random_state": torch.get_rng_state()}, "a random state and no weights"),
        (lambda: {"w": torch.zeros(9, dtype=torch.int8)}, "the tensors are int8, which are not cast"),
        (lambda: {"epoch": 3}, "the file holds no tensors: its top-level keys are epoch"),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_file_without_weights_is_refused_with_its_reason(
    value: Callable[[], Any], reason: str, plain: bool, tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    torch.save(value(), path)
    if plain and "no weights" not in reason:
        pytest.skip("--plain needs no weights")
    with pytest.raises(ptzip.EditError, match=reason):
        ptzip.slim(path, tmp_path / "out.pt", plain=plain)
    assert not (tmp_path / "out.pt").exists()


def test_a_module_that_is_no_yolo_is_generic(tmp_path: Path) -> None:
    net, optimizer, scheduler, scaler = trained()
    states = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "scaler": scaler.state_dict()}
    value = {"epoch": 7, "model": net, "best_fitness": 0.9, "date": "x", "rng_state": torch.get_rng_state(), **states}
    after, report = slim(tmp_path / "last.pt", value)
    assert report.recipe == "generic"
    assert after.keys() == {"epoch", "model", "best_fitness", "date"}


def test_gaussians_keep_their_parameters(tmp_path: Path) -> None:
    points = [torch.nn.Parameter(torch.randn(50, size)) for size in (3, 3, 45)]
    optimizer = torch.optim.Adam([{"params": [one], "lr": 1e-3, "name": str(at)} for at, one in enumerate(points)])
    sum(one.sum() for one in points).backward()
    optimizer.step()
    after, report = slim(tmp_path / "chkpnt.pth", ((3, *points, torch.zeros(50), optimizer.state_dict(), 5.0), 30_000))
    assert report.recipe == "generic"
    assert all(torch.equal(one, other) for one, other in zip(after[0][1:4], points, strict=True))
    assert after[0][5] is None


def lightning_checkpoint() -> dict[str, Any]:
    """As Lightning 2 writes it, with `StochasticWeightAveraging` in the second half of a training."""
    net, optimizer, scheduler, _ = trained()
    average = {"n_averaged": torch.tensor(3), "average_model_state": trained()[0].state_dict(), "latest_update_epoch": 2}
    callbacks = {
        "StochasticWeightAveraging": average,
        "EarlyStopping{'monitor': 'loss'}": {"wait_count": 0, "best": torch.tensor(1.0)},
    }
    return {
        **{"epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.6.0", "state_dict": net.state_dict()},
        **{"callbacks": callbacks, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()]},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
    }


def test_averages_in_callbacks_of_lightning_stay_and_are_named(tmp_path: Path) -> None:
    after, report = slim(tmp_path / "last.ckpt", lightning_checkpoint())
    assert report.recipe == "lightning"
    average = "callbacks.StochasticWeightAveraging.average_model_state"
    assert after["callbacks"].keys() == {"StochasticWeightAveraging"}
    assert after["callbacks"]["StochasticWeightAveraging"]["average_model_state"]["0.weight"].dtype == torch.float16
    assert report.notes == (
        f"{average} (averaged weights) and state_dict are both kept (--drop {average} removes the averages)",
    )


def test_without_averages_the_callbacks_of_lightning_go(tmp_path: Path) -> None:
    value = lightning_checkpoint()
    value["callbacks"]["StochasticWeightAveraging"]["average_model_state"] = None
    after, report = slim(tmp_path / "last.ckpt", value)
    assert after.keys() == {"epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops"}
    assert report.warnings == ()


def test_a_module_that_was_cast_comes_with_how_to_use_it(tmp_path: Path) -> None:
    net, *_ = trained()
    after, report = slim(tmp_path / "net.pt", net)
    assert report.notes == ("a module in half precision computes on a GPU; on a CPU call .float() on it after loading",)
    after.float()(torch.randn(2, 16))
    _, report = slim(tmp_path / "sd.pt", net.state_dict())
    assert report.notes == ()
