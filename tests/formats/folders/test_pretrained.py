"""Folders of diffusers and of the `Trainer` of transformers (`tests/frameworks/pretrained_folders.py`)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.errors import EditError, FormatError
from tests.cli import shell
from tests.corpus import FIXTURES
from tests.frameworks.tensor_facts import read_facts

FOLDERS = FIXTURES / "pretrained"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDERS / "expected.json").read_text())
PIPELINE, TRAINER, SHARDS, PICKLE = "pipeline", "trainer", "trainer-shards", "trainer-bin"
NAMES = sorted(path.name for path in FOLDERS.iterdir() if path.is_dir())


def read(path: Path) -> dict[str, Any]:
    with ptzip.open(path) as checkpoint:
        return {name: read_facts(tensor) for name, tensor in checkpoint.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_tensors_are_what_from_pretrained_loads(name: str) -> None:
    found = read(FOLDERS / name)
    found.pop("lm_head.weight", None)  # the second name of what is tied, which a pickle has
    assert found == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_the_folder(name: str, tmp_path: Path) -> None:
    folder = FOLDERS / name
    assert ptzip.verify(folder, values=True).ok
    assert ptzip.scan(folder, trust=["transformers"]).ok
    assert ptzip.diff(folder, folder).ok
    ptzip.convert(folder, tmp_path / "all.safetensors", all=True)
    assert read(tmp_path / "all.safetensors") == read(folder)
    report = ptzip.inspect(folder)
    assert report.folder is not None
    assert sum(file.size for file in report.folder.files) == report.size


@pytest.mark.parametrize("name", [TRAINER, SHARDS, PICKLE])
def test_files_of_training_are_steps_of_slim(name: str) -> None:
    folder = FOLDERS / name
    report = ptzip.slim(folder, dry_run=True)
    unread = {one.name: one.size for one in ptzip.inspect(folder).unread}
    assert unread == {file.name: file.stat().st_size for file in folder.iterdir() if file.name in unread}
    assert {"optimizer.pt", "scheduler.pt"} <= set(unread)
    assert report.recipe == "transformers-trainer"
    assert report.saved[Category.OPTIMIZER] == sum(unread.values())


def test_shards_of_the_same_training_are_its_files_too(tmp_path: Path) -> None:
    """DeepSpeed's, beside weights that were gathered when they were saved."""
    folder = tmp_path / "checkpoint-2"
    shutil.copytree(FIXTURES / "deepspeed" / "zero2-groups-2", folder)
    shutil.copytree(FOLDERS / TRAINER, folder, dirs_exist_ok=True)
    assert read(folder) == EXPECTED[TRAINER]
    unread = {one.name: one.size for one in ptzip.inspect(folder).unread}
    assert unread["global_step2"] == sum(file.stat().st_size for file in (folder / "global_step2").iterdir())
    assert read(folder / "latest").keys() == read(FIXTURES / "deepspeed" / "zero2-groups-2").keys()


@pytest.mark.parametrize(
    ("name", "output"), [(TRAINER, "model.safetensors"), (SHARDS, "model.safetensors"), (PICKLE, "pytorch_model.bin")]
)
def test_slim_writes_the_file_that_is_loaded(name: str, output: str, tmp_path: Path) -> None:
    assert shell.ptzip("slim", FOLDERS / name, "-o", f"{tmp_path / 'small'}/", "--dtype", "keep", "--check").code == 0
    assert [path.name for path in (tmp_path / "small").iterdir()] == [output]
    assert read(tmp_path / "small" / output) == read(FOLDERS / name)


@pytest.mark.parametrize("name", [TRAINER, SHARDS])
def test_the_name_of_the_output_says_its_format(name: str, tmp_path: Path) -> None:
    for output in ("model.safetensors", "model.pt"):
        ptzip.slim(FOLDERS / name, tmp_path / output, check=True)
    assert read(tmp_path / "model.safetensors") == read(tmp_path / "model.pt")
    with ptzip.open(tmp_path / "model.safetensors") as checkpoint:
        assert checkpoint.metadata == {"format": "pt"}


def test_tensors_that_share_a_storage_are_one_in_safetensors(tmp_path: Path) -> None:
    ptzip.slim(FOLDERS / PICKLE, tmp_path / "model.safetensors", dtype="keep", check=True)
    assert read(tmp_path / "model.safetensors") == read(FOLDERS / PICKLE)
    with ptzip.open(tmp_path / "model.safetensors") as checkpoint:
        assert checkpoint.metadata["lm_head.weight"] == "transformer.wte.weight"


def test_other_objects_than_tensors_do_not_become_safetensors(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="safetensors"):
        ptzip.slim(FIXTURES / "folders" / "plain-1", tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_each_model_of_a_pipeline_is_slimmed_where_it_is(tmp_path: Path) -> None:
    assert shell.ptzip("slim", FOLDERS / PIPELINE, "-o", tmp_path / "small").code == 0
    found = sorted(str(path.relative_to(tmp_path / "small")) for path in (tmp_path / "small").rglob("*.*"))
    unet = "unet/diffusion_pytorch_model.safetensors"
    assert found == ["text_encoder/model.safetensors", unet, "vae/diffusion_pytorch_model.bin"]
    half = FOLDERS / PIPELINE / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    assert read(tmp_path / "small" / unet) == read(half)


def test_weights_that_are_not_loaded_are_copies() -> None:
    report = ptzip.inspect(FOLDERS / PIPELINE)
    assert [one.name for one in report.unread] == ["unet/diffusion_pytorch_model.fp16.safetensors"]
    assert [key.key for key in report.keys] == ["text_encoder", "unet", "vae"]


def test_a_variant_alone_is_what_is_read(tmp_path: Path) -> None:
    """`from_pretrained(variant="fp16")`, with shards too."""
    folder = tmp_path / "unet"
    shutil.copytree(FOLDERS / PIPELINE / "unet", folder)
    index = json.loads((folder / "diffusion_pytorch_model.safetensors.index.json").read_text())
    for number, shard in enumerate(sorted(set(index["weight_map"].values())), 1):
        variant = f"diffusion_pytorch_model.fp16-{number:05}-of-00099.safetensors"
        (folder / shard).rename(folder / variant)
        index["weight_map"] = {name: variant if file == shard else file for name, file in index["weight_map"].items()}
    (folder / "diffusion_pytorch_model.safetensors.index.json").unlink()
    (folder / "diffusion_pytorch_model.fp16.safetensors").unlink()
    (folder / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(index))
    (tmp_path / "model_index.json").write_text("{}")
    assert read(tmp_path) == {name: one for name, one in EXPECTED[PIPELINE].items() if name.startswith("unet.")}
    assert shell.ptzip("slim", tmp_path, "-o", tmp_path / "small").code == 0
    assert [path.name for path in (tmp_path / "small" / "unet").iterdir()] == ["diffusion_pytorch_model.fp16.safetensors"]


def test_a_component_without_a_shard_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDERS / PIPELINE, tmp_path / "pipeline")
    next((tmp_path / "pipeline" / "unet").glob("*-00001-of-*")).unlink()
    with pytest.raises(FormatError, match=r"the file unet/diffusion_pytorch_model-00001-of-\d+\.safetensors"):
        ptzip.open(tmp_path / "pipeline")


def test_a_file_that_is_not_loaded_is_scanned(tmp_path: Path) -> None:
    shutil.copytree(FOLDERS / PIPELINE, tmp_path / "pipeline")
    (tmp_path / "pipeline" / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    report = ptzip.scan(tmp_path / "pipeline")
    assert report.verdict == "malicious"
    assert report.findings[0].record.startswith("unet/diffusion_pytorch_model.bin")
