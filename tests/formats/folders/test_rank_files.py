"""Files of ranks, written by torch (`tests/frameworks/rank_files.py`)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.errors import FormatError, PtzipError, UnsupportedError
from ptzip.formats.folders.detect import folder_source
from ptzip.formats.folders.rank_files import rank_sets
from tests.checkpoint_builder import CheckpointBuilder
from tests.corpus import FIXTURES
from tests.formats.folders.saved_names import saved_as
from tests.frameworks.tensor_facts import read_facts
from tests.torch_zips import replace_in

FOLDERS = FIXTURES / "rank_files"
EXPECTED: dict[str, dict[str, list[Any]]] = json.loads((FOLDERS / "expected.json").read_text())

LINE = "line-4"
VERL = "model_world_size_{}_rank_{}.pt"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(FOLDERS / name, tmp_path / name))


def replicas(folder: Path, *values: "np.ndarray[Any, Any]", name: str = VERL) -> Path:
    """A folder in which each process has a tensor of its own, and values that are no tensors."""
    folder.mkdir()
    for rank, one in enumerate(values):
        builder = CheckpointBuilder()
        state = {"weight": builder.tensor(one), "rank": rank, "count": builder.tensor(np.arange(3))}
        builder.save(folder / name.format(len(values), rank), {"model": state})
    return folder


def refusal(folder: Path) -> PtzipError:
    """The error of everything that reads a folder, after which nothing was written."""
    output = folder.with_name("out.pt")
    with pytest.raises(PtzipError) as caught:
        ptzip.slim(folder, output)
    with pytest.raises(PtzipError):
        ptzip.convert(folder, output)
    assert not output.exists()
    return caught.value


@pytest.mark.parametrize("name", EXPECTED)
def test_tensors_are_what_torch_gathers(name: str) -> None:
    with ptzip.open(FOLDERS / name) as checkpoint:
        assert {path: read_facts(tensor) for path, tensor in checkpoint.items()} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_command_takes_a_folder(name: str, tmp_path: Path) -> None:
    folder = FOLDERS / name
    assert ptzip.verify(folder, values=True).ok
    assert ptzip.scan(folder).ok
    report = ptzip.inspect(folder)
    assert report.ok
    assert report.folder is not None
    assert sum(file.size for file in report.folder.files) == sum(file.stat().st_size for file in folder.iterdir())
    assert ptzip.diff(folder, folder).ok
    assert ptzip.convert(folder, tmp_path / "all.safetensors", all=True).outputs
    assert ptzip.slim(folder, tmp_path / "slim.pt", check=True, recipe="generic").output is not None


def test_values_that_are_no_tensors_are_those_of_the_first_process() -> None:
    found = ptzip.load(FOLDERS / "nested-2")
    assert isinstance(found, dict)
    assert (found["epoch"], found["rank"]) == (3, 0)


def test_tied_parameters_share_a_storage() -> None:
    with ptzip.open(FOLDERS / "fsdp2-2") as checkpoint:
        assert checkpoint["words.weight"].storage is checkpoint["head.weight"].storage


def test_files_of_optimizers_are_part_of_the_folder_but_not_of_the_model(copied: Callable[[str], Path]) -> None:
    folder = copied("fsdp2-2")
    source = folder_source(str(folder))
    assert source is not None
    assert [file.partition("_")[0] for file in source.files] == ["model", "model", "optim", "optim"]
    for file in folder.glob("optim*"):
        file.write_bytes(b"never read for the model")
    with ptzip.open(folder) as checkpoint:
        assert checkpoint.keys() == EXPECTED["fsdp2-2"].keys()


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("world", [1, 2, 5])
def test_copies_become_one_tensor(shape: tuple[int, ...], world: int, tmp_path: Path) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(np.float32)
    with ptzip.open(replicas(tmp_path / "run", *[values] * world)) as checkpoint:
        assert np.array_equal(checkpoint["model.weight"].numpy(), values)
        assert checkpoint["model.weight"].shape == shape


def test_copies_that_are_nan_are_equal(tmp_path: Path) -> None:
    with ptzip.open(replicas(tmp_path / "run", *[np.full(3, np.nan, np.float32)] * 2)) as checkpoint:
        assert np.isnan(checkpoint["model.weight"].numpy()).all()


def test_a_transposed_copy_is_compared_by_its_elements(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    folder = replicas(tmp_path / "run", values, values)
    builder = CheckpointBuilder()
    turned = builder.view(builder.storage(values.T.ravel()), (2, 3), (1, 2))
    builder.save(folder / VERL.format(2, 1), {"model": {"weight": turned}})
    with ptzip.open(folder) as checkpoint:
        assert np.array_equal(checkpoint["model.weight"].numpy(), values)


# What is refused


def test_a_copy_that_differs_is_named(tmp_path: Path) -> None:
    folder = replicas(tmp_path / "run", np.zeros(3, np.float32), np.zeros(3, np.float32), np.array([0, 0, 1], np.float32))
    assert "weight is not split, but differs between model_world_size_3_rank_0.pt and model_world_size_3_rank_2.pt" in str(
        refusal(folder)
    )


def test_plain_tensors_of_other_shapes_are_never_concatenated(tmp_path: Path) -> None:
    folder = replicas(tmp_path / "run", np.zeros(3, np.float32), np.zeros(2, np.float32))
    assert "no copies or shards of one tensor" in str(refusal(folder))


def test_a_flat_parameter_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match="FULL_STATE_DICT"):
        ptzip.open(FOLDERS / "local-2")


@pytest.mark.parametrize("placement", ["_StridedShard", "Partial", "_MaskPartial"])
def test_other_placements_are_refused_by_name(placement: str, copied: Callable[[str], Path]) -> None:
    folder = copied(LINE)
    for file in folder.iterdir():
        replace_in(file, b"placement_types\nShard\n", f"placement_types\n{placement}\n".encode())
    assert placement in str(refusal(folder))


@pytest.mark.parametrize("rank", range(4))
def test_a_missing_file_is_named(rank: int, copied: Callable[[str], Path]) -> None:
    folder = copied(LINE)
    (folder / VERL.format(4, rank)).unlink()
    assert f"process {rank} is missing" in str(refusal(folder))


def test_files_of_fewer_processes_than_the_mesh_has_are_an_error(copied: Callable[[str], Path]) -> None:
    folder = copied("fsdp1-2")
    (folder / "pytorch_model_fsdp_rank1.bin").unlink()
    assert "are in no file" in str(refusal(folder))


def test_swapped_files_are_an_error(copied: Callable[[str], Path]) -> None:
    folder = copied(LINE)
    one, other = folder / VERL.format(4, 0), folder / VERL.format(4, 2)
    other.write_bytes(saved_as(one, other))
    assert "are in" in str(refusal(folder))
    other.write_bytes(one.read_bytes())
    assert f"{other.name} was saved as {one.stem}" in str(refusal(folder))


@pytest.mark.parametrize("keep", [0, 100, 2000, -1])
def test_a_truncated_file_is_named(keep: int, copied: Callable[[str], Path]) -> None:
    folder = copied(LINE)
    file = folder / VERL.format(4, 1)
    file.write_bytes(file.read_bytes()[:keep])
    assert file.name in str(refusal(folder))


def test_a_file_of_too_many_processes_is_an_error(copied: Callable[[str], Path]) -> None:
    folder = copied("fsdp2-2")
    shutil.copy(folder / VERL.format(2, 1), folder / VERL.format(2, 2))
    assert isinstance(refusal(folder), FormatError)


def test_layers_of_other_processes_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for rank in range(2):
        builder = CheckpointBuilder()
        builder.save(folder / VERL.format(2, rank), {f"layer{rank}": builder.tensor(np.zeros(3, np.float32))})
    assert "pipeline" in str(refusal(folder))


# Which folders


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ("model_world_size_2_rank_0.pt model_world_size_2_rank_1.pt", 1),
        ("model_world_size_2_rank_0.pt model_world_size_4_rank_0.pt", 2),
        ("a-rank0.ckpt a-rank1.ckpt b_rank_0.bin", 2),
        ("rank.pt ranks.txt rank_0.txt", 0),
    ],
)
def test_a_set_is_files_that_differ_in_the_number_of_the_process_alone(names: str, count: int) -> None:
    assert len(rank_sets(names.split())) == count


def test_whole_checkpoints_named_by_rank_stay_files_of_their_own(tmp_path: Path) -> None:
    folder = replicas(tmp_path / "run", np.zeros(3, np.float32), np.ones(3, np.float32), name="best_rank{1}.pt")
    assert folder_source(str(folder)) is None
