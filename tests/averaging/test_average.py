"""`ptzip.average`: which files, weights and layouts it takes, and what of them the output has."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import ptzip
from ptzip.averaging.average import checked_weights
from ptzip.errors import EditError, FormatError, LimitError, PtzipError, UnsupportedError
from tests.checkpoint_builder import CheckpointBuilder, called, numbers
from tests.corpus import FIXTURES
from tests.files_of_checkpoints import zipped
from tests.test_mutations import peak_of

FOLDERS = FIXTURES / "folders"


def state(path: Path, values: Mapping[str, Any], **others: Any) -> Path:
    """A file of a training with a state dict below `net`."""
    builder = CheckpointBuilder()
    return builder.save(path, {"net": {name: builder.tensor(value) for name, value in values.items()}, **others})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files of one layout: 0, 1 and 2 times the same weights, an index, and an optimizer."""
    found = []
    for factor in range(3):
        builder = CheckpointBuilder()
        net = {"a.weight": builder.tensor(factor * numbers(6).reshape(2, 3)), "a.index": builder.tensor(np.arange(3))}
        moments = {0: {"exp_avg": builder.tensor(numbers(6))}}
        root = {"net": net, "optimizer": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0]}]}, "epoch": factor}
        found.append(builder.save(tmp_path / f"{factor}.pt", root))
    return found


def values(path: Path) -> dict[str, Any]:
    with ptzip.open(path) as found:
        return {name: tensor.numpy() for name, tensor in found.items()}


# What the output has


def test_the_output_is_the_first_file_with_other_floats(files: list[Path], tmp_path: Path) -> None:
    report = ptzip.average(files, tmp_path / "x.pt")
    loaded: Any = ptzip.load(tmp_path / "x.pt")
    assert list(loaded) == ["net", "epoch"]
    assert loaded["epoch"] == 0
    np.testing.assert_array_equal(loaded["net"]["a.weight"], numbers(6).reshape(2, 3))
    np.testing.assert_array_equal(loaded["net"]["a.index"], np.arange(3))
    assert (report.tensors, report.averaged, report.kept) == (2, 1, ())
    assert [one.path for one in report.removed] == ["optimizer"]
    assert [one.share for one in report.inputs] == [1 / 3] * 3
    assert report.size == (tmp_path / "x.pt").stat().st_size
    assert report.ok
    assert report.to_dict()["path"] == str(tmp_path / "x.pt")


def test_a_file_averaged_with_itself_is_the_file(tmp_path: Path) -> None:
    path = state(tmp_path / "a.pt", {"a.weight": np.array([0.1, np.nan, np.inf, -0.0], np.float32), "n": np.arange(4)})
    ptzip.average([path] * 3, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_are_those_of_numpy(dtype: str, precision: Any, tmp_path: Path) -> None:
    given = [np.random.default_rng(seed).normal(size=999).astype(dtype) for seed in range(4)]
    paths = [state(tmp_path / f"{seed}.pt", {"a.weight": one}) for seed, one in enumerate(given)]
    weights = np.array([0.1, 0.2, 0.3, 7])
    ptzip.average(paths, tmp_path / "x.pt", weights=weights, precision=precision)
    wide = np.float64 if dtype == "float64" else np.dtype(precision).type
    scaled = [one.astype(wide) * wide(weight) for one, weight in zip(given, weights, strict=True)]
    total = sum(scaled[1:], scaled[0]) / wide(math.fsum(weights))
    expected = (total if dtype == "float64" else total.astype(np.float32)).astype(dtype)  # torch rounds float64 twice
    np.testing.assert_array_equal(values(tmp_path / "x.pt")["net.a.weight"], expected)


def test_big_endian_files_are_averaged_with_others(tmp_path: Path) -> None:
    paths = []
    for order in ("big", "little"):
        builder = CheckpointBuilder(byteorder=order)
        swapped = [np.arange(1, 5).astype(dtype) * (2 if order == "big" else 1) for dtype in ("f4", "f2", "f8")]
        stored = [one.byteswap() if order == "big" else one for one in swapped]
        paths.append(builder.save(tmp_path / f"{order}.pt", {f"{one.dtype}.weight": builder.tensor(one) for one in stored}))
    for number, both in enumerate((paths, paths[::-1])):
        ptzip.average(both, tmp_path / f"x{number}.pt")
        for array in values(tmp_path / f"x{number}.pt").values():
            np.testing.assert_array_equal(array, np.arange(1, 5) * 1.5)


# Weights


@given(st.lists(st.floats(1e-200, 1e200), min_size=2, max_size=9))
def test_weights_keep_their_proportions_and_fit_float32(weights: list[float]) -> None:
    checked = checked_weights(tuple(weights), len(weights))
    whole, sum_before = math.fsum(checked), math.fsum(weights)
    assert 1e-10 < whole < 1e10
    for after, before in zip(checked, weights, strict=True):
        assert math.isclose(after / whole, before / sum_before, rel_tol=1e-9, abs_tol=1e-300)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "there are 2 weights for 3 checkpoints"),
        ([], "there are 0 weights for 3 checkpoints"),
        *(([1, 1, wrong], "expected positive numbers") for wrong in (0, -0.0, -1, math.nan, math.inf)),
        ([1.5e308, 1.5e308, 1], "expected positive numbers"),
    ],
)
def test_weights_are_a_positive_number_for_each(weights: list[float], message: str, files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ptzip.average(files, tmp_path / "x.pt", weights=weights)
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize("weights", [[3, 1, 2], [0.5, 1 / 6, 1 / 3], [3e200, 1e200, 2e200], [3e-300, 1e-300, 2e-300]])
def test_weights_need_not_sum_to_one(weights: list[float], files: list[Path], tmp_path: Path) -> None:
    ptzip.average(files, tmp_path / "x.pt", weights=weights)
    np.testing.assert_allclose(values(tmp_path / "x.pt")["net.a.weight"], (numbers(6) * 5 / 6).reshape(2, 3), rtol=2e-7)


@pytest.mark.parametrize("count", [0, 1])
def test_two_files_are_needed(count: int, files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"at least 2 checkpoints, and got {count}"):
        ptzip.average(files[:count], tmp_path / "x.pt")


@pytest.mark.parametrize("sources", ["a.pt", b"PK", Path("a.pt")])
def test_one_checkpoint_is_no_list(sources: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a list"):
        ptzip.average(sources, tmp_path / "x.pt")


def test_a_file_object_is_read_at_one_position_at_a_time(files: list[Path], tmp_path: Path) -> None:
    with files[0].open("rb") as file, pytest.raises(ValueError, match="one file object twice"):
        ptzip.average([file, files[1], file], tmp_path / "x.pt")


@pytest.mark.parametrize("option", [{"precision": "float16"}, {"integers": "last"}])
def test_a_wrong_choice_is_a_value_error(option: dict[str, Any], files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        ptzip.average(files, tmp_path / "x.pt", **option)


# Layouts


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"a.weight": numbers(6)}, r"net\.a\.weight is float32 \[2, 3\] in .*a\.pt, and float32 \[6\] in .*b\.pt"),
        ({"a.weight": numbers(6, dtype="float16").reshape(2, 3)}, r"float32 \[2, 3\] in .*a\.pt, and float16 \[2, 3\] in .*b"),
        ({}, r"b\.pt has no tensor net\.a\.weight, which .*a\.pt has$"),
        ({"a.weight": numbers(6).reshape(2, 3), "b.weight": numbers(1)}, r"a\.pt has no tensor net\.b\.weight, which .*b\.pt"),
    ],
)
def test_another_layout_names_the_tensor_and_both_files(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    one = state(tmp_path / "a.pt", {"a.weight": numbers(6).reshape(2, 3), "c.weight": numbers(2)})
    two = state(tmp_path / "b.pt", {**other, "c.weight": numbers(2)})
    with pytest.raises(EditError, match=message):
        ptzip.average([one, two], tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()


def test_integers_that_differ_are_named_or_those_of_the_first(tmp_path: Path) -> None:
    counts = [np.array(count) for count in (3, 4)]
    both = [{"a.weight": numbers(2), "n": count, "m": count > 3, "o": np.arange(2)} for count in counts]
    paths = [state(tmp_path / f"{number}.pt", one) for number, one in enumerate(both)]
    with pytest.raises(EditError, match=r"differ in .*0\.pt and .*1\.pt: net\.n, net\.m \(--integers first"):
        ptzip.average(paths, tmp_path / "x.pt")
    report = ptzip.average(paths, tmp_path / "x.pt", integers="first")
    assert report.kept == ("net.n", "net.m")
    assert values(tmp_path / "x.pt")["net.n"] == 3


def test_floats_that_pack_quantised_weights_must_agree(tmp_path: Path) -> None:
    given = [{"a.weight": numbers(4, first), "a.weight.absmax": numbers(2), "b.weight": numbers(2, first)} for first in (1, 2)]
    paths = [state(tmp_path / f"{number}.pt", one) for number, one in enumerate(given)]
    with pytest.raises(EditError, match=r"not averaged, and differ in .*0\.pt and .*1\.pt: net\.a\.weight$"):
        ptzip.average(paths, tmp_path / "x.pt", integers="first")


# Formats


def test_safetensors_stay_safetensors_with_their_metadata(tmp_path: Path) -> None:
    for number in range(2):
        tensors = {"a.weight": numbers(4) * number, "n": np.arange(2)}
        save_file(tensors, tmp_path / f"{number}.safetensors", {"format": "pt", "b.weight": "a.weight"})
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    report = ptzip.average(paths, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["a.weight"], numbers(4) / 2)
    with ptzip.open(tmp_path / "x.safetensors") as found:
        assert found.metadata == {"format": "pt", "b.weight": "a.weight"}
    assert (report.tensors, report.averaged) == (3, 2)
    with pytest.raises(EditError, match="the output would be safetensors"):
        ptzip.average(paths, tmp_path / "x.pt")


def test_formats_are_mixed(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    torch = builder.save(tmp_path / "a.pt", {"a.weight": builder.tensor(numbers(4))})
    save_file({"a.weight": numbers(4) * 3}, tmp_path / "b.safetensors")
    packed = tmp_path / "c.zip"
    packed.write_bytes(zipped({"a.pt": torch.read_bytes(), "b.pt": torch.read_bytes()}))
    with torch.open("rb") as file:
        sources: list[Any] = [torch, tmp_path / "b.safetensors", f"{packed}::a.pt", torch.read_bytes(), file]
        ptzip.average(sources, tmp_path / "x.pt")
        ptzip.average([*sources[1:], torch], tmp_path / "y.safetensors.zst")
    np.testing.assert_array_equal(values(tmp_path / "x.pt")["a.weight"], numbers(4) * 7 / 5)
    np.testing.assert_array_equal(values(tmp_path / "y.safetensors.zst")["a.weight"], numbers(4) * 7 / 5)
    with pytest.raises(UnsupportedError, match=r"c\.zip: this is a .*open one in it as FILE::NAME"):
        ptzip.average([torch, packed], tmp_path / "z.pt")


@pytest.mark.parametrize("name", ["fsdp2-2", "grid-4", "safetensors-4", "index-bin", "index-safetensors", "lightning-2.ckpt"])
def test_a_folder_is_averaged_like_the_file_it_becomes(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(FOLDERS / name, folder)
    assert ptzip.average([folder, folder], tmp_path / "x.pt").averaged
    before, after = values(folder), values(tmp_path / "x.pt")
    assert after
    assert all(array.tobytes() == before[tensor].tobytes() for tensor, array in after.items())
    assert ptzip.average([tmp_path / "x.pt", folder], tmp_path / "y.pt").averaged
    assert (tmp_path / "y.pt").read_bytes() == (tmp_path / "x.pt").read_bytes()


@pytest.mark.parametrize("order", [1, -1])
def test_no_file_of_a_folder_is_overwritten(order: int, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(FOLDERS / "fsdp2-2", folder)
    ptzip.average([folder, folder], tmp_path / "x.pt")
    inside = folder / "__0_0.distcp"
    before = inside.read_bytes()
    with pytest.raises(EditError, match=r"is __0_0\.distcp of the input itself"):
        ptzip.average([tmp_path / "x.pt", folder][::order], inside, overwrite=True)
    assert inside.read_bytes() == before


@pytest.mark.parametrize("number", [0, 1])
def test_no_input_is_overwritten(number: int, files: list[Path], tmp_path: Path) -> None:
    before = [path.read_bytes() for path in files]
    (tmp_path / "link.pt").symlink_to(files[number])
    for output in (files[number], tmp_path / "link.pt"):
        with pytest.raises(EditError, match="is the input itself"):
            ptzip.average(files, output, overwrite=True)
    assert [path.read_bytes() for path in files] == before


def test_an_existing_output_stays_unless_it_is_to_be_overwritten(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        ptzip.average(files, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").read_bytes() == b"x"
    ptzip.average(files, tmp_path / "x.pt", overwrite=True)
    assert values(tmp_path / "x.pt")


def test_an_error_names_its_file(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff" * 99)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(files[0].read_bytes()[:-300])
    for wrong in (tmp_path / "noise", cut, FIXTURES / "layouts" / "trainer-optimizer.pt"):
        with pytest.raises(PtzipError, match=rf"^{wrong}: this") as raised:
            ptzip.average([files[0], wrong], tmp_path / "x.pt")
        assert isinstance(raised.value, FormatError | EditError)
    with pytest.raises(OSError, match="missing") as missing:
        ptzip.average([files[0], tmp_path / "missing"], tmp_path / "x.pt")
    assert str(missing.value.filename) == str(tmp_path / "missing")


def test_crcs_of_all_files_are_checked(files: list[Path], tmp_path: Path) -> None:
    for number in (1, 2):
        data = files[number].read_bytes()
        at = data.index((number * numbers(6)).tobytes())
        broken = tmp_path / f"broken{number}.pt"
        broken.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
        for order in ([files[0], broken], [broken, files[0]]):
            report = ptzip.average(order, tmp_path / "x.pt", overwrite=True)
            assert any("CRC" in warning for warning in report.warnings)


def test_a_malicious_first_file_is_named(files: list[Path], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = {"a.weight": builder.tensor(numbers(3)), "x": called("os", "system", "true")}
    path = builder.save(tmp_path / "evil.pt", root)
    assert any("malicious" in one for one in ptzip.average([path, path], tmp_path / "x.pt").warnings)


# Costs


def test_memory_does_not_grow_with_a_tensor(tmp_path: Path) -> None:
    """Also where a file has it transposed."""
    builder, turned = CheckpointBuilder(), CheckpointBuilder()
    array = np.ones((4000, 4000), np.float32)
    whole = builder.save(tmp_path / "a.pt", {"a.weight": builder.tensor(array)})
    transposed = turned.view(turned.storage(2 * array.ravel()), (4000, 4000), (1, 4000))
    other = turned.save(tmp_path / "b.pt", {"a.weight": transposed})
    assert peak_of(lambda: ptzip.average([whole, whole, whole], tmp_path / "x.pt")) < 8 << 20
    assert peak_of(lambda: ptzip.average([whole, other], tmp_path / "y.pt")) < 80 << 20
    with ptzip.open(tmp_path / "y.pt") as found:
        assert (found["a.weight"][::512] == 1.5).all()


def test_numbers_that_strides_repeat_without_end_are_a_limit(tmp_path: Path) -> None:
    builder, flat = CheckpointBuilder(), CheckpointBuilder()
    one = builder.save(tmp_path / "a.pt", {"a.weight": builder.view(builder.storage(numbers(9)), (1 << 30, 9), (0, 1))})
    ptzip.average([one, one], tmp_path / "x.pt")
    other = flat.save(tmp_path / "b.pt", {"a.weight": flat.view(flat.storage(numbers(9)), (1 << 30, 9), (1, 0))})
    with pytest.raises(LimitError):
        ptzip.average([one, other], tmp_path / "y.pt")


def test_many_tensors_on_one_storage_take_time_for_each_once(tmp_path: Path) -> None:
    """A flat storage, as that of an LSTM on a GPU, with 1,000 views."""
    builder = CheckpointBuilder()
    held = builder.storage(numbers(1_000))
    path = builder.save(tmp_path / "a.pt", {f"{at}.weight": builder.view(held, (1,), (1,), at) for at in range(1_000)})
    report = ptzip.average([path, path.read_bytes()], tmp_path / "x.pt")
    assert report.averaged == 1_000
    assert (tmp_path / "x.pt").read_bytes() == path.read_bytes()
