"""Pickles that `pickle.dump` wrote, whose storages are streams inside them: Python reads the slim file as it read the first."""

import pickle
from pathlib import Path
from typing import Any

import pytest

import ptzip

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def trained() -> tuple[Any, Any]:
    net = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(8, 32)).sum().backward()
    optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_module_is_slimmed(protocol: int, tmp_path: Path) -> None:
    net, optimizer = trained()
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"net": net, "optimizer": optimizer, "step": 3}, protocol))
    report = ptzip.slim(path, tmp_path / "slim.pkl", check=True)
    assert report.new_size < report.old_size / 3
    after = pickle.loads((tmp_path / "slim.pkl").read_bytes())
    assert after.keys() == {"net", "step"}
    for name, tensor in net.state_dict().items():
        cast = tensor.half() if tensor.is_floating_point() else tensor
        assert torch.equal(after["net"].state_dict()[name], cast)
    assert ptzip.inspect(path).slimming.recipe == "generic"
    assert ptzip.slim(tmp_path / "slim.pkl", tmp_path / "again.pkl").already_slim


def test_a_pickled_state_dict_keeps_overflowing_tensors(tmp_path: Path) -> None:
    net, _ = trained()
    with torch.no_grad():
        net[0].weight[0, 0] = 1e6
    path = tmp_path / "sd.pkl"
    path.write_bytes(pickle.dumps(net.state_dict()))
    ptzip.slim(path, tmp_path / "slim.pkl", check=True)
    after = pickle.loads((tmp_path / "slim.pkl").read_bytes())
    assert after["0.weight"].dtype == torch.float32
    assert after["2.weight"].dtype == torch.float16


def test_plain_makes_a_zip_that_weights_only_loads(tmp_path: Path) -> None:
    net, _ = trained()
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(net))
    ptzip.slim(path, tmp_path / "slim.pt", plain=True)
    assert torch.load(tmp_path / "slim.pt", weights_only=True)["0.weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("more", "reason"),
    [(pickle.dumps([1]), "several pickles one after the other"), (b"\0more", "bytes follow the pickle")],
    ids=["another pickle", "other bytes"],
)
def test_what_follows_a_pickle_is_the_reason_of_a_refusal(more: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "several.pkl"
    path.write_bytes(pickle.dumps(trained()[0]) + more)
    with pytest.raises(ptzip.UnsupportedError, match=reason):
        ptzip.slim(path)
