"""A folder of Megatron-Core in its format `torch_dist` (`tests/frameworks/megatron_folders.py`)."""

import json
import shutil
from pathlib import Path

import ptzip
from ptzip.editing.account import Category
from tests.corpus import FIXTURES
from tests.frameworks.tensor_facts import read_facts

FOLDER = FIXTURES / "megatron" / "tensor-parallel-2"


def test_the_weights_are_what_torch_gathers() -> None:
    expected = json.loads((FOLDER.parent / "expected.json").read_text())[FOLDER.name]
    with ptzip.open(FOLDER) as checkpoint:
        found = {name: read_facts(tensor) for name, tensor in checkpoint.items()}
    assert found == {name: one for name, one in expected.items() if not name.startswith("optimizer.")}


def test_what_only_training_needs_is_not_read(tmp_path: Path) -> None:
    report = ptzip.slim(FOLDER, tmp_path / "model.pt", dtype="keep", check=True)
    unread = ptzip.inspect(FOLDER).unread
    assert [one.name for one in unread] == ["optimizer and random states", "common.pt"]
    assert report.saved[Category.OPTIMIZER] == sum(one.size for one in unread)
    with ptzip.open(tmp_path / "model.pt") as slim:
        assert list(slim) == ["decoder.weight", "decoder.bias", "layers.weight"]


def test_the_folder_is_scanned_and_verified() -> None:
    assert ptzip.scan(FOLDER).ok
    assert ptzip.verify(FOLDER, values=True).ok


def test_a_folder_without_what_is_common_opens(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "folder")
    (tmp_path / "folder" / "common.pt").unlink()
    with ptzip.open(tmp_path / "folder") as checkpoint:
        assert len(checkpoint) == 3
