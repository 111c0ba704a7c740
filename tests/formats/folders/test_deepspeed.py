"""Folders of DeepSpeed, written by it (`tests/frameworks/deepspeed_folders.py`) and made of any parameters."""

import json
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptzip
from ptzip.editing.account import Category
from ptzip.errors import FormatError, PtzipError, UnsupportedError
from ptzip.formats.folders.detect import folder_source
from tests.checkpoint_builder import CheckpointBuilder, called, ordered
from tests.corpus import FIXTURES
from tests.formats.folders.saved_names import saved_as
from tests.frameworks.tensor_facts import read_facts
from tests.torch_zips import replace_in

FOLDERS = FIXTURES / "deepspeed"
EXPECTED: dict[str, dict[str, list[Any]]] = json.loads((FOLDERS / "expected.json").read_text())
HAVE_MASTERS = [name for name in EXPECTED if not name.startswith("zero0")]
HAVE_BOTH = [name for name in HAVE_MASTERS if not name.startswith("zero3") and "lightning" not in name]

GROUPS, STAGE3, LIGHTNING, UNIVERSAL = "zero2-groups-2", "zero3-bfloat16-4", "zero2-lightning-2", "zero3-universal-2"
STEP = "global_step2"
MODEL = f"{STEP}/mp_rank_00_model_states.pt"
SHARD = STEP + "/bf16_zero_pp_rank_{}_mp_rank_00_optim_states.pt"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(FOLDERS / name, tmp_path / name))


def facts(folder: Path, masters: bool = False) -> dict[str, list[Any]]:
    with ptzip.open(folder, masters=masters) as checkpoint:
        return {name: read_facts(tensor) for name, tensor in checkpoint.items()}


def refusal(folder: Path, masters: bool = True) -> PtzipError:
    """The error of everything that reads a folder, after which nothing was written."""
    output = folder.with_name("model.pt")
    with pytest.raises(PtzipError) as caught:
        ptzip.slim(folder, output, masters=masters)
    with pytest.raises(PtzipError):
        ptzip.convert(folder, output, masters=masters)
    assert not output.exists()
    return caught.value


# What DeepSpeed wrote


@pytest.mark.parametrize("name", HAVE_MASTERS)
def test_the_masters_are_what_the_framework_gathers(name: str) -> None:
    found = facts(FOLDERS / name, masters=True)
    found = {key.removeprefix("state_dict."): value for key, value in found.items()}
    assert {key: found[key] for key in EXPECTED[name]} == EXPECTED[name]
    more = found.keys() - EXPECTED[name].keys()
    assert more == ({"still.weight", "still.bias"} if name.startswith("zero1") and "gathered" not in name else set())


def test_stage_0_has_whole_weights() -> None:
    assert facts(FOLDERS / "zero0-bfloat16-1") == EXPECTED["zero0-bfloat16-1"]


@pytest.mark.parametrize("name", HAVE_BOTH)
def test_the_16_bit_weights_are_the_masters_rounded(name: str, tmp_path: Path) -> None:
    output = tmp_path / "rounded.pt"
    dtype: Literal["keep", "bfloat16"] = "keep" if "float32-" in name else "bfloat16"
    ptzip.slim(FOLDERS / name, output, masters=True, dtype=dtype, keep_float32="mean")
    with ptzip.open(FOLDERS / name) as weights, ptzip.open(output) as rounded:
        assert weights.keys() == rounded.keys()
        assert all(one.tobytes() == rounded[name].tobytes() for name, one in weights.items() if name != "mean")


@pytest.mark.parametrize("name", HAVE_BOTH)
def test_the_16_bit_weights_need_the_model_file_alone(name: str, copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied(name)
    for shard in folder.glob("*/*_optim_states.pt"):
        shard.unlink()
    ptzip.slim(folder, tmp_path / "a.pt", dtype="keep")
    ptzip.slim(FOLDERS / name, tmp_path / "b.pt", dtype="keep")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert "--masters" in str(refusal(folder))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_command_takes_a_folder(name: str, tmp_path: Path) -> None:
    folder = FOLDERS / name
    assert ptzip.verify(folder, values=True).ok
    assert ptzip.scan(folder, trust="deepspeed").ok
    report = ptzip.inspect(folder)
    assert report.ok
    assert report.folder is not None
    assert ptzip.diff(folder, folder).ok
    slim = ptzip.slim(folder, tmp_path / "slim.pt", check=True, masters=not name.startswith("zero0"))
    assert slim.output is not None
    with ptzip.open(tmp_path / "slim.pt") as found:
        assert {tensor.dtype for tensor in found.values()} <= {"float16", "bfloat16", "int64"}


@pytest.mark.parametrize("name", HAVE_BOTH)
def test_slim_tells_the_masters_from_the_rest_of_the_optimizer(name: str) -> None:
    shards = sum(shard.stat().st_size for shard in (FOLDERS / name).rglob("*_optim_states.pt"))
    saved = ptzip.slim(FOLDERS / name, dry_run=True).saved
    assert saved[Category.OPTIMIZER] + saved[Category.EMA] == shards
    with ptzip.open(FOLDERS / name, masters=True) as checkpoint:
        trained = sum(one.nbytes for one in checkpoint.values() if one.dtype == "float32")
    assert 0 < saved[Category.EMA] <= trained
    assert ptzip.slim(FOLDERS / name, dry_run=True, masters=True).saved[Category.EMA] == 0


@pytest.mark.parametrize("path", ["", "latest", STEP])
def test_a_folder_is_opened_by_its_path_its_index_and_the_folder_of_the_step(path: str) -> None:
    with ptzip.open(FOLDERS / GROUPS / path) as checkpoint:
        assert checkpoint.keys() == EXPECTED[GROUPS].keys()


def test_the_universal_form_is_opened_by_its_index() -> None:
    assert facts(FOLDERS / UNIVERSAL / "latest_universal") == EXPECTED[UNIVERSAL]
    assert facts(FOLDERS / UNIVERSAL / f"{STEP}_universal") == EXPECTED[UNIVERSAL]


def test_the_folder_of_lightning_has_its_own_keys_and_no_prefix(tmp_path: Path) -> None:
    with ptzip.open(FOLDERS / LIGHTNING) as checkpoint:
        own = {"epoch", "pytorch-lightning_version", "loops", "hyper_parameters", "state_dict"}
        assert set(checkpoint.top_level_keys) == own
    report = ptzip.slim(FOLDERS / LIGHTNING, tmp_path / "slim.ckpt")
    assert report.recipe == "lightning"


def test_the_prefix_of_old_releases_of_lightning_is_removed(copied: Callable[[str], Path]) -> None:
    folder = copied(LIGHTNING)
    wrapped = b"X\x1c\x00\x00\x00_forward_module.first.weight"
    replace_in(folder / "checkpoint/mp_rank_00_model_states.pt", b"X\x0c\x00\x00\x00first.weight", wrapped)
    with ptzip.open(folder) as checkpoint:
        assert "state_dict.first.weight" in checkpoint


@pytest.mark.parametrize("masters", [False, True])
@pytest.mark.parametrize("name", HAVE_MASTERS)
def test_tied_parameters_share_a_storage_in_the_output(name: str, masters: bool, tmp_path: Path) -> None:
    ptzip.slim(FOLDERS / name, tmp_path / "slim.pt", masters=masters)
    with ptzip.open(tmp_path / "slim.pt") as slim:
        above = "state_dict." if LIGHTNING in name else ""
        one, other = slim[f"{above}words.weight"].storage, slim[f"{above}head.weight"].storage
        assert one is not None
        assert other is not None
        assert one.key == other.key


@pytest.mark.parametrize("masters", [False, True])
@pytest.mark.parametrize("name", HAVE_MASTERS)
def test_buffers_keep_their_dtype(name: str, masters: bool) -> None:
    found = {key.rpartition(".")[2]: value for key, value in facts(FOLDERS / name, masters).items()}
    assert found["positions"][0] == "int64"
    assert found["mean"] == ["float32", [5], EXPECTED[GROUPS]["mean"][2]]


def test_a_parameter_without_dimensions_has_none() -> None:
    assert facts(FOLDERS / GROUPS, masters=True)["scale"][:2] == ["float32", []]


# What is refused


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("name", [GROUPS, STAGE3])
def test_a_missing_shard_is_an_error(name: str, number: int, copied: Callable[[str], Path]) -> None:
    folder = copied(name)
    shard = folder / SHARD.format(number)
    if shard.exists():
        shard.unlink()
        assert "shards" in str(refusal(folder))


def test_a_gap_among_the_shards_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    (folder / SHARD.format(2)).write_bytes(saved_as(folder / SHARD.format(1), folder / SHARD.format(2)))
    (folder / SHARD.format(1)).unlink()
    assert "process 1 is missing" in str(refusal(folder))


@pytest.mark.parametrize("name", [GROUPS, STAGE3])
@pytest.mark.parametrize("keep", [0, 100, 2000, -1])
def test_a_truncated_shard_is_named(name: str, keep: int, copied: Callable[[str], Path]) -> None:
    folder = copied(name)
    shard = folder / SHARD.format(1)
    shard.write_bytes(shard.read_bytes()[:keep])
    assert "rank_1" in str(refusal(folder))
    assert not ptzip.verify(folder).ok


def test_swapped_shards_are_named(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    one, other = folder / SHARD.format(0), folder / SHARD.format(1)
    first, second = saved_as(one, other), saved_as(other, one)
    one.write_bytes(second), other.write_bytes(first)
    assert "says that it has another part" in str(refusal(folder))


@pytest.mark.parametrize("name", ["optim_states", "model_states"])
def test_swapped_and_copied_files_of_stage_3_are_named(name: str, copied: Callable[[str], Path]) -> None:
    """Nothing in them says which is which but the name in the zip."""
    folder = copied("zero3-subgroups-2") / "global_step2"
    one, other = sorted(folder.glob(f"*_{name}.pt"))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    assert f"{one.name} was saved as {other.stem}: it was renamed, or is a copy" in str(refusal(folder))
    other.write_bytes(data)
    assert "was saved as" in str(refusal(folder))


def test_a_shard_of_another_checkpoint_is_an_error(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    shutil.copy(FOLDERS / "zero1-gathered-2" / SHARD.format(1), folder / SHARD.format(1))
    assert "groups" in str(refusal(folder))


@pytest.mark.parametrize(
    "file",
    [
        f"{STEP}/layer_01-model_00-model_states.pt",
        f"{STEP}/layer_0_expert_3_mp_rank_00_model_states.pt",
        f"{STEP}/expp_rank_0_mp_rank_00_optim_states.pt",
        f"{STEP}/mp_rank_01_model_states.pt",
    ],
)
def test_a_model_that_is_split_otherwise_is_refused_with_what_to_do(file: str, copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    shutil.copy(folder / MODEL, folder / file)
    error = refusal(folder, masters=False)
    assert isinstance(error, UnsupportedError)
    assert "ds_to_universal.py" in str(error)


def test_a_half_of_a_tensor_parallel_model_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    name = b"X\r\x00\x00\x00mp_world_size"
    with zipfile.ZipFile(folder / MODEL) as archive:
        data = next(archive.read(one) for one in archive.namelist() if one.endswith("data.pkl"))
    after = data[data.index(name) :][: len(name) + 4]
    replace_in(folder / MODEL, after, after[:-1] + b"\x02")
    assert "tensor parallel" in str(refusal(folder, masters=False))


def test_a_folder_of_the_name_of_the_index_is_no_index(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    (folder / "latest").unlink()
    (folder / "latest").mkdir()
    assert folder_source(str(folder)) is None


def test_masters_on_a_disk_of_their_own_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path, {"a": (4, 3)}, 2, True, swapped=True)
    assert "NVMe" in str(refusal(folder))


def test_the_folder_of_a_step_that_is_missing_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    (folder / "latest").write_text("global_step3")
    with pytest.raises(FormatError, match=r"global_step3.*open global_step2"):
        ptzip.open(folder)


@pytest.mark.parametrize("tag", ["..", "../zero2-groups-2/global_step2", "/", "", "latest", "x" * 300])
def test_an_index_leads_nowhere_else(tag: str, copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    (folder / "latest").write_text(tag)
    shutil.rmtree(folder / STEP)
    assert folder_source(str(folder)) is None


def test_a_missing_model_file_is_an_error(copied: Callable[[str], Path]) -> None:
    folder = copied(GROUPS)
    (folder / MODEL).unlink()
    assert "model file" in str(refusal(folder))
    folder = copied(STAGE3)
    (folder / STEP / "zero_pp_rank_2_mp_rank_00_model_states.pt").unlink()
    assert "process 2" in str(refusal(folder))


def test_a_missing_weight_of_the_universal_form_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied(UNIVERSAL)
    (folder / f"{STEP}_universal/zero/first.bias/fp32.pt").unlink()
    assert "first.bias" in str(refusal(folder))


def test_masters_of_anything_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="DeepSpeed"):
        ptzip.open(FIXTURES / "tensors.pt", masters=True)
    with pytest.raises(UnsupportedError, match="DeepSpeed"):
        ptzip.open(FIXTURES / "folders" / "line-2", masters=True)


# Any parameters


def made(
    folder: Path, shapes: dict[str, tuple[int, ...]], world: int, is_stage3: bool, swapped: bool = False, groups: int = 1
) -> Path:
    """A folder as DeepSpeed writes it, whose parameters have the numbers from 1 on in their order."""
    named = list(shapes.items())
    parts = [dict(named[index::groups]) for index in range(groups)]
    first = {name: 1 + sum(math.prod(shape) for _, shape in named[:index]) for index, (name, shape) in enumerate(named)}
    values = {name: np.arange(first[name], first[name] + math.prod(shape), dtype=np.float32) for name, shape in named}
    lines = [list(flat_parts([values[name] for name in part], world, is_stage3)) for part in parts]
    step = folder / "global_step1"
    step.mkdir(parents=True)
    (folder / "latest").write_text(step.name)
    for rank in range(world):
        one = CheckpointBuilder()
        key = "fp32_flat_groups" if is_stage3 else "single_partition_of_fp32_groups"
        flats = [one.tensor(line[rank][: 0 if swapped else None]) for line in lines]
        state: dict[str, Any] = {key: flats, "partition_count": world if is_stage3 else [world] * groups}
        one.save(step / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt", {"optimizer_state_dict": state})
    for rank in range(world if is_stage3 else 1):
        model = CheckpointBuilder()
        weights = {name: np.zeros(0 if is_stage3 else shape, np.float16) for name, shape in named}
        sizes = [ordered(**{name: called("torch", "Size", shape) for name, shape in part.items()}) for part in parts]
        held: dict[str, Any] = {
            "module": {name: model.tensor(one) for name, one in weights.items()},
            "buffer_names": [],
            "param_shapes": sizes,
        }
        name = f"zero_pp_rank_{rank}_mp_rank_00" if is_stage3 else "mp_rank_00"
        model.save(step / f"{name}_model_states.pt", held)
    return folder


def flat_parts(values: list["np.ndarray[Any, Any]"], world: int, is_stage3: bool) -> Iterator["np.ndarray[Any, Any]"]:
    """What each process has of a group of parameters."""
    if not is_stage3:
        whole = np.concatenate([*values, np.zeros(0, np.float32)])
        size = -(-len(whole) // (2 * world)) * 2
        yield from (whole[rank * size : (rank + 1) * size] for rank in range(world))
        return
    shares = [-(-len(one) // world) for one in values]
    padded = [
        np.resize(np.append(one, np.zeros(share * world - len(one), np.float32)), share * world)
        for one, share in zip(values, shares, strict=True)
    ]
    for rank in range(world):
        found = [one[rank * share : (rank + 1) * share] for one, share in zip(padded, shares, strict=True)]
        yield np.concatenate([*found, np.zeros(0, np.float32)])


any_shapes = st.lists(st.lists(st.integers(0, 6), max_size=3).map(tuple), min_size=1, max_size=6)


@given(any_shapes, st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_parameters_of_any_shapes_are_put_together(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]], world: int, groups: int, is_stage3: bool
) -> None:
    named = {f"layer{index}.weight": shape for index, shape in enumerate(shapes)}
    folder = made(tmp_path_factory.mktemp("zero") / "run", named, world, is_stage3, groups=min(groups, len(shapes)))
    at = 1
    with ptzip.open(folder, masters=True) as checkpoint:
        for name, shape in named.items():
            values = checkpoint[name].numpy()
            assert values.shape == shape
            assert values.ravel().tolist() == list(range(at, at + math.prod(shape)))
            at += math.prod(shape)
