"""Models that torch.ao quantised, slimmed: their state dicts load, and what they compute is what it was."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ptzip

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says of torch.ao that it will move
        yield


def network() -> Any:
    nn = torch.nn
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        *(nn.Linear(32, 16), nn.LayerNorm(16), nn.Linear(16, 4)),
    ).eval()


def static(net: Any) -> Any:
    """Static quantisation of the convolution and the first linear layer: the others stay floats."""
    ao = torch.ao.quantization
    stubs = [ao.QuantStub(), *net[:6], ao.DeQuantStub(), *net[6:]]
    wrapped = torch.nn.Sequential(*stubs).eval()
    wrapped.qconfig = ao.get_default_qconfig("fbgemm")
    for layer in wrapped[8:]:
        layer.qconfig = None
    prepared = ao.prepare(ao.fuse_modules(wrapped, [["1", "2", "3"]]))
    prepared(images())
    return ao.convert(prepared)


def dynamic(net: Any) -> Any:
    return torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear}, dtype=torch.qint8)


def fake(net: Any) -> Any:
    """Prepared for training with fake quantisation."""
    ao = torch.ao.quantization
    net.train().qconfig = ao.get_default_qat_qconfig("fbgemm")
    prepared = ao.prepare_qat(net)
    prepared(images())
    return prepared.eval()


def images() -> Any:
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quantise", [static, dynamic, fake])
@pytest.mark.parametrize("is_checkpoint", [False, True])
def test_a_quantised_model_computes_the_same(quantise: Any, is_checkpoint: bool, tmp_path: Path) -> None:
    before, after, path = quantise(network()), quantise(network()), tmp_path / "last.pt"
    state = before.state_dict()
    torch.save({"net": state, "epoch": 3, "optimizer": optimizer()} if is_checkpoint else state, path)
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    assert report.check is not None
    assert report.check.companions > 0
    for tensor in after.state_dict().values():
        if isinstance(tensor, torch.Tensor) and not tensor.is_quantized:
            tensor.detach().zero_()
    slim = torch.load(tmp_path / "out.pt", weights_only=True)
    after.load_state_dict(slim["net"] if is_checkpoint else slim)
    expected, found = before(images()), after(images())
    assert torch.allclose(expected, found, atol=0.02), float((expected - found).abs().max())
    kept = [name for name, value in (slim["net"] if is_checkpoint else slim).items() if name.endswith("scale")]
    assert kept
    assert all((slim["net"] if is_checkpoint else slim)[name].dtype != torch.float16 for name in kept)


def optimizer() -> Any:
    net = torch.nn.Linear(50, 50)
    made = torch.optim.Adam(net.parameters())
    net(torch.ones(50)).sum().backward()
    made.step()
    return made.state_dict()


def test_a_whole_quantised_model_computes_the_same(tmp_path: Path) -> None:
    before = dynamic(network())  # torch cannot load a pickled quantised convolution
    torch.save({"net": before, "optimizer": optimizer()}, tmp_path / "last.pt")
    ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", scan=False)
    after = torch.load(tmp_path / "out.pt", weights_only=False)["net"].float()
    assert torch.allclose(before(images()), after(images()), atol=0.02)


def dynamic_half(net: Any) -> Any:
    """The packed weights are floats, and in no parameter."""
    return torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear}, dtype=torch.float16)


@pytest.mark.parametrize("quantise", [static, dynamic, dynamic_half])
def test_a_whole_quantised_model_has_no_plain_form(quantise: Any, tmp_path: Path) -> None:
    torch.save({"net": quantise(network())}, tmp_path / "last.pt")
    with pytest.raises(
        ptzip.EditError, match=r"net has no plain form: torch\.ao\S+ keeps quantised weights or their scales outside"
    ):
        ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", plain=True, scan=False)


def test_a_module_whose_scales_are_a_plain_attribute_has_no_plain_form(tmp_path: Path) -> None:
    """As HQQ has them in `meta`; a state dict of its parameters and buffers alone would lack them."""
    layer = torch.nn.Linear(4, 4)
    layer.packed = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.uint8), requires_grad=False)
    torch.save({"net": layer}, tmp_path / "weights.pt")
    ptzip.slim(tmp_path / "weights.pt", tmp_path / "plain.pt", plain=True, scan=False)
    layer.meta = {"scale": torch.ones(4)}
    torch.save({"net": layer}, tmp_path / "last.pt")
    with pytest.raises(ptzip.EditError, match=r"net has no plain form: torch\.nn\S+Linear keeps quantised weights"):
        ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", plain=True, scan=False)
