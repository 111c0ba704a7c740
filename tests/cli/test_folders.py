"""Folders that are one checkpoint, on the command line: alone, and inside a folder of files."""

import shutil
from pathlib import Path

import pytest

from tests.cli.shell import names, ptzip, reports
from tests.corpus import FIXTURES

DCP, SHARDS = FIXTURES / "folders" / "fsdp2-2", FIXTURES / "folders" / "index-safetensors"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one that is a checkpoint, and a file."""
    shutil.copytree(DCP, tmp_path / "runs" / "step-1")
    shutil.copy(FIXTURES / "training.pt", tmp_path / "runs" / "last.pt")
    return tmp_path / "runs"


def test_slim_writes_beside_the_folder(runs: Path) -> None:
    assert ptzip("slim", "-q", "--no-sync", runs / "step-1").code == 0
    assert names(runs) == ["last.pt", "step-1", "step-1.slim.pt"]
    assert ptzip("slim", "-q", "-i", runs / "step-1").code == 2


def test_slim_writes_one_file_where_the_output_is_named(runs: Path, tmp_path: Path) -> None:
    assert ptzip("slim", "-q", "--no-sync", runs / "step-1", "-o", tmp_path / "model.pt").code == 0
    assert (tmp_path / "model.pt").is_file()


def test_a_folder_in_a_folder_is_one_of_its_checkpoints(runs: Path, tmp_path: Path) -> None:
    assert ptzip("slim", "-q", "--no-sync", runs, "-o", tmp_path / "out").code == 0
    assert names(tmp_path / "out") == ["last.pt", "step-1.slim.pt"]
    paths = [Path(report["path"]).name for report in reports(ptzip("inspect", "--json", runs).out)]
    assert paths == ["last.pt", "step-1"]


def test_verify_reads_what_is_beside_the_shards_too(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SHARDS, folder)
    shutil.copy(FIXTURES / "format" / "linear.pt", folder / "optimizer.pt")
    verified = [Path(report["path"]).name for report in reports(ptzip("verify", "--json", folder).out)]
    assert verified == ["model", "optimizer.pt"]
    assert [Path(report["path"]).name for report in reports(ptzip("inspect", "--json", folder).out)] == ["model"]


def test_scan_judges_every_file_by_itself() -> None:
    scanned = [Path(report["path"]).name for report in reports(ptzip("scan", "--json", DCP).out)]
    assert scanned == [".metadata", "__0_0.distcp", "__1_0.distcp"]
