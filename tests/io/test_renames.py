"""Renames that lose no file, also on file systems that have neither exchanges nor hard links."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from ptzip.io import renames
from ptzip.io.renames import rename_new, swap


def refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EPERM, "no hard links here")


EXCHANGE = pytest.param("renameat2", marks=pytest.mark.posix("two files exchanged in one step"))


@pytest.fixture(params=[EXCHANGE, "hard links", "neither"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system has."""
    if request.param != "renameat2":
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    if request.param != "hard links":
        monkeypatch.setattr(os, "link", refuse)
    return str(request.param)


@pytest.mark.usefixtures("system")
def test_a_free_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    rename_new(tmp_path / "new", tmp_path / "name")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


@pytest.mark.usefixtures("system")
def test_a_name_that_is_taken_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "name").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"old"
    assert (tmp_path / "new").read_bytes() == b"new"


def test_two_files_change_places(tmp_path: Path, system: str) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "name").write_bytes(b"old")
    swap(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "new").exists() == (system != "neither")
    if system != "neither":
        assert (tmp_path / "new").read_bytes() == b"old"


@pytest.mark.parametrize("has_links", [True, False])
def test_without_a_file_to_change_places_with_nothing_is_moved(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_links:
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    (tmp_path / "new").write_bytes(b"new")
    with pytest.raises(FileNotFoundError):
        swap(tmp_path / "new", tmp_path / "name")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
