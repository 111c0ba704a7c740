"""The average that torch computes of what torch saved: number by number the same bits, and torch loads the output."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptzip
from ptzip.errors import EditError, UnsupportedError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:ComplexHalf support")]

FLOATS = ("float64", "float32", "float16", "bfloat16", "complex128", "complex64", "complex32")
REAL = {"complex128": "float64", "complex64": "float32", "complex32": "float16"}
BITS = {2: "int16", 4: "int32", 8: "int64"}
WEIGHTS = (None, (1.0, 1.0, 1.0), (0.5, 0.3, 0.2), (3.0, 1.0, 2.5), (1e-3, 1e3, 7.0))


def parts(tensor: Any) -> Any:
    """The numbers of a tensor: of a complex one pairs."""
    import torch

    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def bits(tensor: Any) -> Any:
    import torch

    numbers = parts(tensor).contiguous()
    return numbers.view(getattr(torch, BITS[numbers.element_size()]))


def mean(tensors: Sequence[Any], weights: Sequence[float] | None, precision: str = "float32") -> Any:
    """What `ptzip help averaging` says, in torch."""
    import torch

    given = weights or [1.0] * len(tensors)
    numbers = [parts(tensor.detach()) for tensor in tensors]
    wide = torch.float64 if numbers[0].dtype == torch.float64 else getattr(torch, precision)
    total = numbers[0].to(wide) * given[0]
    for one, weight in zip(numbers[1:], given[1:], strict=True):
        total = total + one.to(wide) * weight
    rounded = (total / math.fsum(given)).to(numbers[0].dtype)
    same = torch.stack([bits(tensor) == bits(tensors[0]) for tensor in tensors]).all(0)
    return torch.where(same, bits(tensors[0]), bits(rounded))


def assert_averaged(found: Any, tensors: Sequence[Any], weights: Sequence[float] | None, precision: str = "float32") -> None:
    import torch

    expected = mean(tensors, weights, precision)
    is_nan = parts(found).isnan()
    assert torch.equal(is_nan, torch.stack([parts(one).isnan() for one in tensors]).any(0) | is_nan)
    assert torch.equal(torch.where(is_nan, 0, bits(found)), torch.where(is_nan, 0, expected))
    assert (found.dtype, found.shape) == (tensors[0].dtype, tensors[0].shape)


def saved(folder: Path, objects: Sequence[Any], **options: Any) -> list[Path]:
    import torch

    paths = [folder / f"{number}.pt" for number in range(len(objects))]
    for path, one in zip(paths, objects, strict=True):
        torch.save(one, path, **options)
    return paths


def averaged(folder: Path, objects: Sequence[Any], **options: Any) -> Any:
    import torch

    ptzip.average(saved(folder, objects), folder / "avg.pt", overwrite=True, **options)
    return torch.load(folder / "avg.pt", weights_only=False)


def random(dtype: str, shape: tuple[int, ...], seed: int) -> Any:
    import torch

    made = torch.Generator().manual_seed(seed)
    real = (torch.randn((*shape, 2), generator=made) * 10.0 ** torch.randint(-3, 3, (*shape, 2), generator=made)).double()
    return torch.view_as_complex(real).to(getattr(torch, dtype)) if dtype in REAL else real[..., 0].to(getattr(torch, dtype))


VIEWS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda tensor: tensor,
    "transposed": lambda tensor: tensor.t(),
    "a column": lambda tensor: tensor[:, 1],
    "every other row": lambda tensor: tensor[::2],
    "expanded": lambda tensor: tensor[0].expand(4, *tensor[0].shape),
    "a number": lambda tensor: tensor[1, 1],
    "empty": lambda tensor: tensor[:0],
    "diagonal": lambda tensor: tensor.diagonal(),
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_dtype_and_view_has_the_numbers_of_torch(dtype: str, precision: Any, tmp_path: Path) -> None:
    for number, weights in enumerate(WEIGHTS):
        wholes = [random(dtype, (5, 7), 10 * number + file) for file in range(3)]
        states = [{f"{name}.weight": view(whole.clone()) for name, view in VIEWS.items()} for whole in wholes]
        found = averaged(tmp_path, states, weights=weights, precision=precision)
        for name in states[0]:
            assert_averaged(found[name], [state[name] for state in states], weights, precision)
            assert found[name].stride() == states[0][name].stride()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_views_of_shared_memory_have_the_numbers_of_torch(data: st.DataObject, tmp_path: Path) -> None:
    """Views that overlap in all files alike, of one storage or two."""
    names, dtype = data.draw(st.lists(st.sampled_from([*VIEWS]), min_size=1, max_size=6)), data.draw(st.sampled_from(FLOATS))
    homes = data.draw(st.lists(st.integers(0, 1), min_size=len(names), max_size=len(names)))
    weights = data.draw(st.one_of(st.none(), st.tuples(*[st.floats(0.01, 100)] * 2)))
    files = [[random(dtype, (5, 7), 2 * file + home) for home in (0, 1)] for file in range(2)]
    states = [
        {f"{at}.weight": VIEWS[name](wholes[home]) for at, (name, home) in enumerate(zip(names, homes, strict=True))}
        for wholes in files
    ]
    found = averaged(tmp_path, states, weights=weights)
    for name in states[0]:
        assert_averaged(found[name], [state[name] for state in states], weights)
    assert len({one.untyped_storage().data_ptr() for one in found.values()}) == len(set(homes))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts=st.lists(st.sampled_from(["whole", "transposed", "reversed", "in a larger one"]), min_size=2, max_size=3))
def test_tensors_with_other_strides_in_each_file_are_laid_out_as_in_the_first(layouts: list[str], tmp_path: Path) -> None:
    import torch

    def laid_out(tensor: Any, layout: str) -> Any:
        if layout == "transposed":
            return tensor.transpose(0, 2).contiguous().transpose(0, 2)
        if layout == "reversed":
            return tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        return torch.cat([tensor, tensor])[: len(tensor)] if layout == "in a larger one" else tensor

    tensors = [random("float32", (3, 4, 5), file) for file in range(len(layouts))]
    states = [{"a.weight": laid_out(tensor, layout)} for tensor, layout in zip(tensors, layouts, strict=True)]
    found = averaged(tmp_path, states)["a.weight"]
    assert_averaged(found, tensors, None)
    assert found.stride() == states[0]["a.weight"].stride()


def net() -> Any:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))


def trained(seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    module = net()
    module(torch.randn(9, 6))
    return module


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_average_is_that_of_averaged_model(count: int, tmp_path: Path) -> None:
    """`AveragedModel` moves its average a step towards each model, which rounds in other places."""
    import torch

    modules = [trained(seed) for seed in range(count)]
    swa = torch.optim.swa_utils.AveragedModel(modules[0], use_buffers=True)
    for module in modules:
        swa.update_parameters(module)
    found = averaged(tmp_path, [module.state_dict() for module in modules])
    expected = swa.module.state_dict()
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_modules_are_averaged_and_everything_else_is_of_the_first(tmp_path: Path) -> None:
    import torch

    modules = [trained(seed) for seed in range(3)]
    objects = []
    for number, module in enumerate(modules):
        optimizer = torch.optim.Adam(module.parameters())
        module(torch.randn(4, 6)).sum().backward()
        optimizer.step()
        objects.append({"model": module, "optimizer": optimizer.state_dict(), "epoch": number, "args": {"lr": 0.1 * number}})
    found = averaged(tmp_path, objects, weights=[0.5, 0.3, 0.2])
    assert {key: found[key] for key in found if key != "model"} == {"epoch": 0, "args": {"lr": 0.0}}
    states = [module.state_dict() for module in modules]
    for name, tensor in found["model"].state_dict().items():
        if tensor.is_floating_point():
            assert_averaged(tensor, [state[name] for state in states], [0.5, 0.3, 0.2])
    assert all(one.requires_grad for one in found["model"].parameters())
    assert found["model"](torch.randn(2, 6)).shape == (2, 2)


def test_tied_weights_are_averaged_once_and_stay_tied(tmp_path: Path) -> None:
    states = [
        {"embed.weight": tied, "head.weight": tied, "other.weight": random("float32", (3,), 9)}
        for tied in (random("float32", (4, 3), seed) for seed in range(2))
    ]
    found = averaged(tmp_path, states)
    assert found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()
    assert_averaged(found["head.weight"], [state["embed.weight"] for state in states], None)
    apart = {name: tensor.clone() for name, tensor in states[1].items()}
    assert_averaged(averaged(tmp_path, [states[0], apart])["head.weight"], [state["embed.weight"] for state in states], None)
    untied = averaged(tmp_path, [apart, states[0]])
    assert untied["embed.weight"].data_ptr() != untied["head.weight"].data_ptr()
    apart["head.weight"] += 1
    with pytest.raises(EditError, match=r"embed\.weight, head\.weight are one tensor in .*0\.pt, and differ in .*1\.pt"):
        averaged(tmp_path, [states[0], apart])


def test_tensors_that_overlap_in_one_file_alone_are_refused(tmp_path: Path) -> None:
    whole = random("float32", (6,), 1)
    states = [{"a.weight": whole[:4], "b.weight": whole[2:]}, {"a.weight": whole[:4].clone(), "b.weight": whole[2:].clone()}]
    with pytest.raises(UnsupportedError, match=r"a\.weight, b\.weight: laid out in .*0\.pt in another way than in .*1\.pt"):
        averaged(tmp_path, states)
    assert averaged(tmp_path, states[::-1])["a.weight"].equal(whole[:4])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "nested"])
def test_sparse_and_nested_tensors_are_averaged_where_their_indices_agree(layout: str, tmp_path: Path) -> None:
    import torch

    def made(seed: int, at: int = 1) -> Any:
        values = random("float32", (2,), seed)
        if layout == "nested":
            return torch.nested.nested_tensor([values, values[:1]][:: 2 * at - 1])
        dense = torch.zeros(3, 3)
        dense[0, at], dense[2, 2] = values
        return dense.to_sparse() if layout == "coo" else getattr(dense, f"to_sparse_{layout}")()

    def dense_of(tensor: Any) -> Any:
        return torch.cat([*tensor.unbind()]) if layout == "nested" else tensor.to_dense()

    states = [{"a.weight": made(seed), "b.weight": torch.ones(2)} for seed in range(2)]
    found = averaged(tmp_path, states)["a.weight"]
    assert found.layout == states[0]["a.weight"].layout
    assert_averaged(dense_of(found), [dense_of(state["a.weight"]) for state in states], None)
    for integers in ("agree", "first"):
        with pytest.raises(EditError, match=r"are not averaged, and differ in .*0\.pt and .*1\.pt: a\.weight\."):
            averaged(tmp_path, [states[0], {"a.weight": made(1, at=0), "b.weight": torch.ones(2)}], integers=integers)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["per tensor", "per channel", "float8_e4m3fn", "float8_e5m2", "int8"])
def test_quantised_values_must_agree_whatever_the_flag(kind: str, tmp_path: Path) -> None:
    import torch

    def made(seed: int, scale: float = 0.5) -> Any:
        values = random("float32", (4, 4), seed)
        if kind == "per tensor":
            return torch.quantize_per_tensor(values, scale, 3, torch.qint8)
        if kind == "per channel":
            return torch.quantize_per_channel(values, torch.full((4,), scale), torch.zeros(4, dtype=torch.long), 0, torch.qint8)
        return values.to(getattr(torch, kind))

    states = [{"a.weight": made(1), "b.weight": random("float32", (3,), seed)} for seed in range(2)]
    found = averaged(tmp_path, states)
    assert_averaged(found["b.weight"], [state["b.weight"] for state in states], None)
    one = found["a.weight"]
    assert str(one) == str(states[0]["a.weight"])
    for other in (made(2), *([made(1, 0.25)] if "per" in kind else [])):
        with pytest.raises(EditError, match=r"a\.weight"):
            averaged(tmp_path, [states[0], {**states[1], "a.weight": other}], integers="first")


def test_what_is_the_same_in_all_files_keeps_its_bits(tmp_path: Path) -> None:
    import torch

    special = torch.tensor([math.nan, -math.nan, math.inf, -math.inf, -0.0, 1e-45, 3.4e38, -3.4e38, 0.1])
    for dtype in FLOATS[:4]:
        states = [{"a.weight": special.to(getattr(torch, dtype)), "n.weight": torch.ones(1)} for _ in range(7)]
        found = averaged(tmp_path, states, weights=[0.1, 0.3, 0.7, 1.1, 1.3, 1.7, 1.9])
        assert torch.equal(bits(found["a.weight"]), bits(states[0]["a.weight"]))


def test_nan_and_infinities_spread_as_in_torch_and_are_named(tmp_path: Path) -> None:
    import torch

    one = torch.tensor([math.nan, 1, math.inf, math.inf, 3e38, 1, 1e-45])
    other = torch.tensor([1, math.nan, -math.inf, 1, 3e38, 2, 1e-45])
    states = [{"a.weight": one, "b.weight": torch.ones(2)}, {"a.weight": other, "b.weight": torch.zeros(2)}]
    report = ptzip.average(saved(tmp_path, states), tmp_path / "x.pt")
    assert report.nan == ("a.weight",)
    assert_averaged(torch.load(tmp_path / "x.pt")["a.weight"], [one, other], None)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_old_files_become_zips_that_torch_loads(options: dict[str, Any], tmp_path: Path) -> None:
    import torch

    states = [trained(seed).state_dict() for seed in range(2)]
    ptzip.average(saved(tmp_path, states, **options), tmp_path / "x.pt")
    found = torch.load(tmp_path / "x.pt", weights_only=True)
    assert [*found] == [*states[0]]
    assert found._metadata == states[0]._metadata
    for name in ("0.weight", "2.bias", "1.running_var"):
        assert_averaged(found[name], [state[name] for state in states], None)


def test_conjugated_and_negated_tensors_are_averaged_as_they_are_stored(tmp_path: Path) -> None:
    tensors = [random("complex64", (3, 2), seed) for seed in range(4)]
    states = [{"a.weight": one.conj(), "b.weight": other.conj().imag} for one, other in (tensors[:2], tensors[2:])]
    found = averaged(tmp_path, states)
    assert found["a.weight"].is_conj()
    assert_averaged(found["a.weight"], [state["a.weight"] for state in states], None)
    assert found["b.weight"].is_neg()
    assert_averaged(found["b.weight"].resolve_neg(), [state["b.weight"].resolve_neg() for state in states], None)
    with pytest.raises(EditError, match=r"a\.weight is conjugated True in .*, and conjugated False in"):
        averaged(tmp_path, [states[0], {**states[1], "a.weight": tensors[1]}])
