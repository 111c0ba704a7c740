"""`--check`: what was written is read back, and is what rounding makes of the input, or nothing is left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.errors import FormatError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import SlicePayload
from ptzip.slimming.check import old_name
from ptzip.tensors import cast as casts
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, model, module, numbers
from tests.cli.shell import ptzip as run
from tests.corpus import FIXTURES, parameters

CHECKPOINTS = [pytest.param(path, id=path.stem) for path in sorted(FIXTURES.glob("*.pt"))]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plainly"),
        pytest.param({"dtype": "bfloat16"}, id="bfloat16", marks=pytest.mark.slow),
        pytest.param({"on_overflow": "saturate"}, id="saturate", marks=pytest.mark.slow),
        pytest.param({"on_overflow": "inf", "trim": False}, id="inf, whole storages", marks=pytest.mark.slow),
        pytest.param({"dedupe": True, "format": "legacy"}, id="shared, legacy"),
        pytest.param({"ema": False, "recipe": "generic"}, id="generic", marks=pytest.mark.slow),
        pytest.param({"plain": True}, id="plain"),
    ],
)
@pytest.mark.parametrize("path", CHECKPOINTS)
def test_what_is_written_passes(path: Path, options: dict[str, Any], tmp_path: Path) -> None:
    report = ptzip.slim(path, tmp_path / "out.pt", check=True, **options)
    assert report.check is not None
    with ptzip.open(tmp_path / "out.pt") as found:
        made = 1 if options.get("plain") and "best_fitness" in found.tensors() else 0  # of an array
        assert report.check.tensors == len(found.tensors()) - made > 0
    assert report.check.worst.is_rounded


@pytest.mark.parametrize("path", parameters("yolo"))
def test_what_is_written_of_a_large_file_passes(path: Path, tmp_path: Path) -> None:
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    assert report.check is not None
    assert report.check.tensors > 300


def test_the_errors_are_those_of_numpy(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    random = np.random.default_rng(1)
    values = (random.standard_normal(5000) * 10.0 ** random.integers(-9, 4, 5000)).astype(np.float32)
    path = builder.save(tmp_path / "last.pt", {"a.weight": builder.tensor(values), "b.weight": builder.tensor(numbers(3))})
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    after, before = values.astype(np.float16).astype(np.float64), values.astype(np.float64)
    error, has_digits = np.abs(after - before), np.abs(before) >= 2.0**-14
    assert report.check is not None
    assert report.check.worst.absolute == error.max()
    assert report.check.worst.relative == (error / np.abs(before))[has_digits].max()
    assert report.check.worst.subnormal == ((np.abs(after) > 0) & (np.abs(after) < 2.0**-14)).sum()
    assert (report.check.tensors, report.check.equal) == (2, 1)


@pytest.fixture
def one_bit_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cast that is wrong in one bit."""
    right = casts.Cast.chunks

    def wrong(self: casts.Cast, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        for chunk in right(self, start, stop, buffers):
            data = bytearray(chunk)
            data[0] ^= 1
            yield memoryview(data)

    monkeypatch.setattr(casts.Cast, "chunks", wrong)


@pytest.mark.usefixtures("one_bit_off")
def test_a_wrong_bit_is_an_error_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"model\.0\.conv\.weight in the written file is not the float16 of its float32"):
        ptzip.slim(FIXTURES / "training.pt", tmp_path / "out.pt", check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_in_the_wrong_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(self: Any, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        first = max(self.start - 4, 0)
        return self.base.chunks(first + start, first + stop, buffers)  # type: ignore[no-any-return]

    builder = CheckpointBuilder()
    view = builder.view(builder.storage(numbers(100)), (5,), (1,), 50)
    path = builder.save(tmp_path / "last.pt", {"a.weight": view})
    monkeypatch.setattr(SlicePayload, "chunks", shifted)
    with pytest.raises(FormatError, match=r"a\.weight in the written file is not"):
        ptzip.slim(path, tmp_path / "out.pt", check=True)


def test_a_file_is_checked_before_it_replaces_its_input(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes((FIXTURES / "training.pt").read_bytes())
    result = run("slim", "-i", "--check", path)
    assert result.out.splitlines()[-1].startswith("  check: 40 tensors read back, 14 equal, 26 rounded to float16: ")


def test_averaged_weights_are_compared_with_the_averages(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    nets = {
        key: model(module(parameters={"w": builder.parameter(numbers(4, first))}), path="models.yolo.Model")
        for key, first in (("model", 1), ("ema", 50))
    }
    path = builder.save(tmp_path / "last.pt", DEFAULTS | nets | {"updates": 3})
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    assert report.check is not None
    assert (report.check.tensors, report.check.equal) == (1, 1)


@pytest.mark.torch
def test_an_optimizer_that_a_dropped_scheduler_held_too_passes(tmp_path: Path) -> None:
    import torch

    net = torch.nn.Linear(16, 16)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(3, 16)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    torch.save({"model": net.state_dict(), "scheduler": scheduler, "optimizer": optimizer}, tmp_path / "last.pt")
    for keep in ("optimizer", "scheduler", "scheduler.optimizer"):
        report = ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", keep=keep, check=True, overwrite=True)
        assert report.check is not None
        assert report.check.worst.is_rounded
        assert set(torch.load(tmp_path / "out.pt", weights_only=False)) == {"model", keep.partition(".")[0]}


@pytest.mark.parametrize(
    ("name", "old"),
    [("model.a.weight", "ema.a.weight"), ("models.a", "models.a"), ("x.y", "z"), ("x.y.w", "z.w"), ("other", "other")],
)
def test_names_follow_what_moved(name: str, old: str) -> None:
    assert old_name(name, {"model": "ema", "x.y": "z"}) == old
