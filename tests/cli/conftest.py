"""The working folder of the command-line tests, which name files by relative paths."""

from pathlib import Path

import pytest

from tests.small_checkpoints import save


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty at first."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def last(folder: Path) -> Path:
    """`last.pt` in the current folder: a training checkpoint for recipe `basic`."""
    return save(Path("last.pt"))
