"""The file in the making: its name appears only with the whole file, and an error leaves nothing behind."""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ptzip.errors import ChangedError, PtzipError
from ptzip.io import atomic_output, system
from ptzip.io.atomic_output import Output, new_files
from ptzip.io.payloads import BytesPayload, SequentialFile
from ptzip.io.renames import swap
from ptzip.io.sources import FileSource, Identity, Source
from ptzip.io.system import write_at


def write(target: Path, data: bytes, source: Source | None = None, overwrite: bool = True, sync: bool = True) -> list[str]:
    """Write a file as every writer of ptzip does; returns the warnings."""
    with new_files([target], source, overwrite=overwrite, sync=sync) as files:
        write_at(files.outputs[0].descriptor, data, 0)
    return files.warnings


@contextlib.contextmanager
def new_file(target: Path, sync: bool = True) -> Iterator[int]:
    """The descriptor of one new file."""
    with new_files([target], overwrite=True, sync=sync) as files:
        yield files.outputs[0].descriptor


def listed(folder: Path) -> list[str]:
    """The names of what is in a folder."""
    return [path.name for path in folder.iterdir()]


def test_the_name_appears_with_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "out.pt"
    with new_file(target) as descriptor:
        write_at(descriptor, b"half", 0)
        assert not target.exists()
        write_at(descriptor, b" whole", 4)
    assert target.read_bytes() == b"half whole"
    assert listed(tmp_path) == ["out.pt"]


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_that_is_there_is_replaced_at_the_end(tmp_path: Path, sync: bool) -> None:
    target = tmp_path / "out.pt"
    target.write_bytes(b"the old one, which is longer")
    with new_file(target, sync=sync) as descriptor:
        write_at(descriptor, b"new", 0)
        assert target.read_bytes() == b"the old one, which is longer"
    assert target.read_bytes() == b"new"


@pytest.mark.posix("fsync of a folder")
@pytest.mark.parametrize(("sync", "expected"), [(True, ["fsync", "link", "fsync"]), (False, ["link"])])
def test_the_bytes_are_on_the_disk_before_the_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, expected: list[str]
) -> None:
    done: list[str] = []

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            done.append(name)
            return function(*arguments)

        return run

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "link", noted("link", os.link))
    write(tmp_path / "out.pt", b"new", sync=sync)
    assert done == expected


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing_and_the_old_file_whole(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.pt"
    target.write_bytes(b"old")
    with pytest.raises(error), new_file(target) as descriptor:  # noqa: PT012 (the block is what is tested)
        write_at(descriptor, b"half", 0)
        raise error
    assert listed(tmp_path) == ["out.pt"]
    assert target.read_bytes() == b"old"


def test_the_descriptor_is_closed_in_either_case(tmp_path: Path) -> None:
    with new_file(tmp_path / "out.pt") as done:
        pass
    with pytest.raises(ValueError, match="no"), new_file(tmp_path / "out.pt") as failed:
        raise ValueError("no")
    for descriptor in (done, failed):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.posix("modes of files")
def test_the_permissions_are_those_of_the_original(tmp_path: Path) -> None:
    original = tmp_path / "private.pt"
    original.write_bytes(b"secret")
    original.chmod(0o640)
    source = FileSource(original)
    write(tmp_path / "out.pt", b"new", source)
    source.close()
    assert stat.S_IMODE((tmp_path / "out.pt").stat().st_mode) == 0o640


def test_without_an_original_the_permissions_are_those_of_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / "out.pt", b"new")
    assert (tmp_path / "out.pt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    real, link = tmp_path / "runs" / "real.pt", tmp_path / "link.pt"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert listed(tmp_path / "runs") == ["real.pt"]


def test_a_link_that_points_nowhere_is_given_its_file(tmp_path: Path) -> None:
    (tmp_path / "link.pt").symlink_to(tmp_path / "later.pt")
    write(tmp_path / "link.pt", b"new")
    assert (tmp_path / "later.pt").read_bytes() == b"new"


def test_a_directory_cannot_be_the_target(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises((PtzipError, OSError)):
        write(tmp_path / "folder", b"new")
    assert listed(tmp_path) == ["folder"]


def test_missing_folders_are_made_and_removed_again_where_the_file_fails(tmp_path: Path) -> None:
    write(tmp_path / "new" / "one" / "out.pt", b"new")
    assert (tmp_path / "new" / "one" / "out.pt").read_bytes() == b"new"
    with pytest.raises(RuntimeError), new_file(tmp_path / "new" / "other" / "two" / "out.pt"):
        raise RuntimeError
    assert listed(tmp_path / "new") == ["one"]


def use_and_fail(folder: Path) -> None:
    (folder / "other").write_bytes(b"")
    raise RuntimeError


def test_a_folder_that_somebody_else_uses_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "new" / "out.pt"):
        use_and_fail(tmp_path / "new")
    assert listed(tmp_path / "new") == ["other"]


@pytest.mark.parametrize("name", ["x" * 251 + ".pt", "模" * 84 + ".pt"])
def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path, name: str) -> None:
    with new_file(tmp_path / name):
        (temporary,) = listed(tmp_path)
        assert len(os.fsencode(temporary)) <= 255
    assert listed(tmp_path) == [name]


def test_two_writers_of_one_target_do_not_meet(tmp_path: Path) -> None:
    with new_file(tmp_path / "out.pt") as first, new_file(tmp_path / "out.pt") as second:
        write_at(first, b"first", 0)
        write_at(second, b"second", 0)
    assert (tmp_path / "out.pt").read_bytes() == b"first"


def test_bytes_land_where_they_belong_in_any_order(tmp_path: Path) -> None:
    with new_file(tmp_path / "out.pt") as descriptor:
        write_at(descriptor, memoryview(b"world"), 6)
        write_at(descriptor, b"", 3)
        write_at(descriptor, b"hello,", 0)
    assert (tmp_path / "out.pt").read_bytes() == b"hello,world"


def test_a_disk_that_takes_few_bytes_at_a_time_gets_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_some = system.write_some
    monkeypatch.setattr(system, "write_some", lambda file, view, offset: write_some(file, view[:3], offset))
    write(tmp_path / "out.pt", b"more than three bytes")
    assert (tmp_path / "out.pt").read_bytes() == b"more than three bytes"


def test_all_files_get_their_names_or_none(tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("a", "b", "c")]
    targets[0].write_bytes(b"old")
    targets[2].mkdir()
    with pytest.raises(PtzipError, match="c is a directory"), new_files(targets, overwrite=True):
        pass
    targets[2].rmdir()
    with pytest.raises(FileExistsError), new_files(targets[1:] + targets[:1]):
        pass
    assert listed(tmp_path) == ["a"]
    assert targets[0].read_bytes() == b"old"


def test_a_set_that_fails_half_way_gives_back_what_it_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [tmp_path / name for name in ("a", "b", "c")]
    targets[1].write_bytes(b"old")
    place = Output.place

    def placed(output: Output, overwrite: bool, original: Identity | None) -> None:
        if output.target.name == "c":
            raise OSError(errno.EIO, "gone")
        place(output, overwrite, original)

    monkeypatch.setattr(Output, "place", placed)
    with pytest.raises(OSError, match="gone") as caught, new_files(targets, overwrite=True):
        pass
    assert caught.value.filename == str(targets[2])
    assert (listed(tmp_path), targets[1].read_bytes()) == (["b"], b"old")


def test_a_file_that_comes_at_the_last_moment_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError) as caught, new_files([tmp_path / "out.pt"]) as files:  # noqa: PT012 (as above)
        write_at(files.outputs[0].descriptor, b"mine", 0)
        (tmp_path / "out.pt").write_bytes(b"theirs")
    assert caught.value.filename == str(tmp_path / "out.pt")
    assert (tmp_path / "out.pt").read_bytes() == b"theirs"
    assert listed(tmp_path) == ["out.pt"]


@pytest.fixture
def original(tmp_path: Path) -> Iterator[FileSource]:
    """A file that was opened, to be replaced."""
    (tmp_path / "last.pt").write_bytes(b"old")
    source = FileSource(tmp_path / "last.pt")
    yield source
    source.close()


def write_in_place(path: Path) -> None:
    path.write_bytes(b"new!")


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(b"new!")
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [write_in_place, replace])
@pytest.mark.parametrize("target", ["last.pt", "out.pt"])
def test_nothing_is_written_where_the_source_changed(
    tmp_path: Path, original: FileSource, target: str, change: Callable[[Path], None]
) -> None:
    changed = pytest.raises(ChangedError, match="changed while it was read")
    with changed, new_files([tmp_path / target], original, overwrite=True):
        change(tmp_path / "last.pt")
    assert listed(tmp_path) == ["last.pt"]
    assert (tmp_path / "last.pt").read_bytes() == b"new!"


@pytest.mark.posix("a file can be replaced while it is open")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_is_replaced_at_the_very_last_moment_is_given_its_name_back(
    tmp_path: Path, original: FileSource, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program replaces the file between the check and the exchange, and again while it is given back."""
    saved = iter(range(times))

    def late_swap(path: Path, target: Path) -> None:
        for number in itertools.islice(saved, 1):
            (tmp_path / "new").write_bytes(b"version %d" % number)
            (tmp_path / "new").replace(target)
        swap(path, target)

    monkeypatch.setattr(atomic_output, "swap", late_swap)
    replaced = pytest.raises(ChangedError, match="another program replaced it")
    with replaced, new_files([tmp_path / "last.pt"], original, overwrite=True):
        pass
    assert listed(tmp_path) == ["last.pt"]
    assert (tmp_path / "last.pt").read_bytes() == b"version %d" % (times - 1)


@pytest.mark.posix("folders can be locked")
def test_an_abandoned_folder_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    left = tmp_path / f".ptzip-{'a' * 16}.tmp"
    inner = left / f".ptzip-{'b' * 16}.tmp"  # of a checkpoint in a tar that is written
    inner.mkdir(parents=True)
    for folder in (left, inner):
        (folder / "0").write_bytes(b"half")
    with new_files([tmp_path / "first"]), new_files([tmp_path / "second"]):  # each leaves the other's alone
        assert not left.exists()
        assert len(listed(tmp_path)) == 2
    assert sorted(listed(tmp_path)) == ["first", "second"]


def test_only_what_looks_like_such_a_folder_is_removed(tmp_path: Path) -> None:
    for name in (".ptzip-1.tmp", "ptzip", f".ptzip-{'a' * 16}"):
        (tmp_path / name).mkdir()
    (tmp_path / f".ptzip-{'b' * 16}.tmp").symlink_to(tmp_path / "ptzip")
    (tmp_path / "ptzip" / "mine").write_bytes(b"")
    write(tmp_path / "out.pt", b"new")
    assert len(listed(tmp_path)) == 5
    assert (tmp_path / "ptzip" / "mine").exists()


def test_a_write_fault_names_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(system, "write_some", full)
    with pytest.raises(OSError, match="full") as caught, new_files([tmp_path / "out.pt"]) as files:
        files.outputs[0].write(SequentialFile([BytesPayload(b"data")]))
    assert caught.value.filename == str(tmp_path / "out.pt")


def test_a_disk_that_takes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "write_some", lambda *_: 0)
    with pytest.raises(OSError, match="takes no more bytes"):
        write(tmp_path / "out.pt", b"data")
