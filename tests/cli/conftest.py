"""A folder to work in, as a user would: the tests of the command line name files by relative paths."""

from pathlib import Path

import pytest

from tests.cli.samples import save


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty at first."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def last(folder: Path) -> Path:
    """`last.pt` in the current folder: a training checkpoint that recipe `basic` makes small."""
    return save(Path("last.pt"))
