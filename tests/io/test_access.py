"""Nobody gets more access to a new file than to the one that it replaces or was made from."""

import os
import stat
import struct
import sys
from pathlib import Path

import pytest

from ptzip.io.access import ACL, mode_alone
from ptzip.io.atomic_output import new_files
from ptzip.io.sources import FileSource

USER, GROUP, NAMED_USER, MASK, OTHER = 0x01, 0x04, 0x02, 0x10, 0x20
NOBODY = (1 << 32) - 1

pytestmark = pytest.mark.posix("owners, modes, ACLs and attributes of files")

needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give files away")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the extended attributes of Linux")


def packed(*entries: tuple[int, int, int]) -> bytes:
    """An ACL of entries (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


FOR_ONE_USER = packed((USER, 6, NOBODY), (NAMED_USER, 4, 12345), (GROUP, 0, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY))
"""The owning group may nothing, though the mode says 0640."""

WITHOUT_ONE_USER = packed((USER, 6, NOBODY), (NAMED_USER, 0, 12345), (GROUP, 4, NOBODY), (MASK, 4, NOBODY), (OTHER, 4, NOBODY))


def made(path: Path, mode: int = 0o644, attributes: dict[str, bytes] | None = None) -> Path:
    path.write_bytes(b"old")
    path.chmod(mode)
    for name, value in (attributes or {}).items():
        try:
            os.setxattr(path, name, value)
        except OSError:
            pytest.skip(f"this file system has no {name}")
    return path


def written(target: Path, source: Path) -> list[str]:
    """Write a file that is made from another; returns the warnings."""
    opened = FileSource(source)
    with new_files([target], opened, overwrite=True) as files:
        pass
    opened.close()
    return files.warnings


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444, 0o777])
def test_a_copy_has_the_mode_of_its_source(tmp_path: Path, mode: int) -> None:
    written(tmp_path / "copy", made(tmp_path / "last.pt", mode))
    assert mode_of(tmp_path / "copy") == mode


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6777])
def test_a_copy_has_no_bits_that_change_the_user(tmp_path: Path, mode: int) -> None:
    written(tmp_path / "copy", made(tmp_path / "last.pt", mode))
    assert mode_of(tmp_path / "copy") == mode & 0o777


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o4755, 0o444])
def test_a_file_in_place_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = made(tmp_path / "last.pt", mode)
    assert written(path, path) == []
    assert mode_of(path) == mode


@pytest.mark.parametrize(("old", "source", "new"), [(0o600, 0o644, 0o600), (0o644, 0o600, 0o600), (0o640, 0o604, 0o600)])
def test_a_file_that_is_overwritten_allows_what_it_and_the_source_allowed(
    tmp_path: Path, old: int, source: int, new: int
) -> None:
    written(made(tmp_path / "out.pt", old), made(tmp_path / "last.pt", source))
    assert mode_of(tmp_path / "out.pt") == new


@needs_root
def test_a_file_that_is_overwritten_keeps_its_owner(tmp_path: Path) -> None:
    target = made(tmp_path / "out.pt", 0o600)
    os.chown(target, 12345, 23456)
    written(target, made(tmp_path / "last.pt"))
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o600)


@needs_root
def test_a_copy_has_the_group_of_its_source(tmp_path: Path) -> None:
    source = made(tmp_path / "last.pt", 0o640)
    os.chown(source, -1, 23456)
    written(tmp_path / "copy", source)
    assert (tmp_path / "copy").stat().st_gid == 23456


def test_a_group_that_cannot_be_kept_gets_no_more_than_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "last.pt", 0o664)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("ptzip.io.access._change_owner", refused)
    assert written(path, path) == [f"{path} could not keep its owner, group"]
    assert mode_of(path) == 0o644


@needs_linux
@pytest.mark.parametrize("rules", [FOR_ONE_USER, WITHOUT_ONE_USER])
def test_a_file_in_place_keeps_its_acl_and_attributes(tmp_path: Path, rules: bytes) -> None:
    path = made(tmp_path / "last.pt", attributes={ACL: rules, "user.note": b"mine"})
    assert written(path, path) == []
    assert os.getxattr(path, ACL) == rules
    assert os.getxattr(path, "user.note") == b"mine"


@needs_linux
@pytest.mark.parametrize(("rules", "mode"), [(FOR_ONE_USER, 0o600), (WITHOUT_ONE_USER, 0o600)])
def test_a_copy_without_the_acl_allows_nobody_more(tmp_path: Path, rules: bytes, mode: int) -> None:
    path = made(tmp_path / "last.pt", attributes={ACL: rules})
    assert mode_alone(str(path)) == mode
    written(tmp_path / "copy", path)
    assert mode_of(tmp_path / "copy") == mode


@needs_linux
def test_an_acl_that_cannot_be_kept_is_reported_and_allows_nobody_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "last.pt", attributes={ACL: FOR_ONE_USER})

    def refused(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "setxattr", refused)
    assert written(path, path) == [f"{path} could not keep its ACL"]
    assert mode_of(path) == 0o600


@needs_linux
def test_the_acl_that_a_folder_gives_new_files_does_not_widen_the_access(tmp_path: Path) -> None:
    source = made(tmp_path / "last.pt", 0o640)
    folder = tmp_path / "shared"
    folder.mkdir()
    try:
        os.setxattr(folder, "system.posix_acl_default", FOR_ONE_USER)
    except OSError:
        pytest.skip("this file system has no ACLs")
    written(folder / "copy", source)
    assert ACL not in os.listxattr(folder / "copy")
    assert mode_of(folder / "copy") == 0o640


def test_hard_links_to_a_replaced_file_are_reported(tmp_path: Path) -> None:
    path = made(tmp_path / "last.pt")
    (tmp_path / "backup.pt").hardlink_to(path)
    (warning,) = written(path, path)
    assert warning == "the file has 1 other name (hard links), with the old content"
    assert (tmp_path / "backup.pt").read_bytes() == b"old"


def test_nobody_else_can_look_at_an_unfinished_file(tmp_path: Path) -> None:
    with new_files([tmp_path / "out.pt"]) as files:
        assert mode_of(files.outputs[0].path.parent) == 0o700


def test_a_umask_does_not_lock_the_owner_out_of_an_unfinished_file(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        with new_files([tmp_path / "out.pt"]) as files:
            assert mode_of(files.outputs[0].path.parent) == 0o700
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "out.pt") == 0
