"""Every system reads and writes the same, whichever calls it has."""

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ptzip.io import renames, system
from ptzip.io.renames import rename_new, swap
from ptzip.io.sources import FileSource
from ptzip.io.system import MAX_PATH, PAUSES, patiently, reason, renamed_silently, temporary_path, write_at
from ptzip.io.unfinished import UNFINISHED, discard_unfinished
from tests.no_posix import WindowsError

DATA = bytes(range(256)) * 400


@pytest.fixture(params=["at an offset", "from a position"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The calls that the system has to read and write."""
    if request.param == "from a position":
        for name in ("pread", "preadv", "pwrite"):
            monkeypatch.delattr(os, name, raising=False)
    return str(request.param)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """An empty file, open for reading and writing."""
    with (tmp_path / "file").open("w+b") as file:
        yield file.fileno()


@pytest.mark.usefixtures("calls")
def test_pieces_that_threads_write_and_read_in_any_order_are_the_whole(descriptor: int) -> None:
    starts = [*range(0, len(DATA), 1000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: write_at(descriptor, DATA[at : at + 1000], at), reversed(starts)))
        read = list(pool.map(lambda at: system.read_at(descriptor, 1000, at), starts))
    assert b"".join(read) == DATA


@pytest.mark.usefixtures("calls")
def test_a_buffer_is_filled_from_an_offset_to_the_end_of_the_file(descriptor: int) -> None:
    write_at(descriptor, DATA, 0)
    buffer = bytearray(100)
    assert system.read_into(descriptor, memoryview(buffer), 7) == 100
    assert buffer == DATA[7:107]
    assert system.read_into(descriptor, memoryview(buffer), len(DATA) - 3) == 3
    assert system.read_into(descriptor, memoryview(buffer), len(DATA)) == 0
    os.fstat(descriptor)  # it is still open


@pytest.mark.usefixtures("calls")
def test_a_file_that_is_closed_is_an_error(descriptor: int) -> None:
    os.close(os.dup(descriptor))
    for call in (lambda: system.read_at(-1, 1, 0), lambda: system.read_into(-1, memoryview(bytearray(1)), 0)):
        with pytest.raises((OSError, ValueError)):
            call()


@pytest.mark.parametrize("folder", ["/dev/fd", "/no/such/folder"])
def test_a_temporary_path_leads_to_what_was_written_and_is_gone_afterwards(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "DESCRIPTORS", folder)
    with temporary_path(lambda file: file.write(DATA)) as path:
        assert Path(path).read_bytes() == DATA
    assert not Path(path).exists()


def test_a_temporary_path_is_gone_too_if_the_process_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "DESCRIPTORS", "/no/such/folder")
    with temporary_path(lambda file: file.write(DATA)) as path:
        discard_unfinished()
        assert not Path(path).parent.exists()
    assert UNFINISHED == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(32, "another program has the file open"), (33, "another program has the file open"), (5, "access is denied, or another")],
)
def test_a_file_that_another_program_uses_is_said_to_be_so(number: int, words: str, tmp_path: Path) -> None:
    error = WindowsError(number, "Der Prozess kann nicht auf die Datei zugreifen", tmp_path)
    assert reason(error).startswith(words)
    assert reason(PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"


def test_a_path_that_is_too_long_is_said_to_be_so_whatever_windows_says(tmp_path: Path) -> None:
    long = tmp_path / ("x" * MAX_PATH)
    for number in (3, 206):
        assert reason(WindowsError(number, "The system cannot find the path specified", long)).startswith(
            "the path has more than"
        )
    assert reason(WindowsError(3, "The system cannot find the path specified", "D:/x")).startswith("The system")


class Held:
    """A change of a file that another program has open for so many times."""

    def __init__(self, times: int, number: int = 32) -> None:
        self.left, self.number, self.is_done = times, number, False

    def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise WindowsError(self.number, "held", "last.pt")
        self.is_done = True


@pytest.mark.parametrize("number", [5, 32])
@pytest.mark.parametrize("times", [0, 1, len(PAUSES)])
def test_a_file_that_is_open_for_a_moment_is_waited_for(times: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()
    monkeypatch.setattr(time, "sleep", waited.append)
    held = Held(times, number)
    patiently(held)
    assert (held.is_done, waited) == (True, [*PAUSES[:times]])


@pytest.mark.parametrize(("times", "number", "tried"), [(99, 32, len(PAUSES) + 1), (1, 19, 1)])
def test_a_file_that_stays_open_or_is_protected_is_an_error(
    times: int, number: int, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    held = Held(times, number)
    with pytest.raises(PermissionError):
        patiently(held)
    assert times - held.left == tried


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("aux.pt", "aux.pt is a device"),
        ("D:\\runs\\CON\\last.pt", "CON is a device"),
        ("NUL", "NUL is a device"),
        ("nul .tar.gz", "nul .tar.gz is a device"),
        ("com¹.pt", "com¹.pt is a device"),
        ("LPT9", "LPT9 is a device"),
        ("conout$.pt", "conout$.pt is a device"),
        ("runs/last.pt.", "drops the end of 'last.pt.'"),
        ("runs /last.pt", "drops the end of 'runs '"),
        ("...", "drops the end of '...'"),
        ("last.pt:new", "last.pt:new is a stream"),
        ("D:\\runs\\last:new", "last:new is a stream"),
        ("..\\auxiliary.pt", None),
        ("./com10.pt", None),
        ("D:last.pt", None),
        ("\\\\server\\share\\console.pt", None),
        ("D:\\", None),
        (".hidden. pt", None),
    ],
)
def test_names_that_windows_takes_for_something_else_are_known(
    path: str, cause: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "IS_WINDOWS", False)
    assert renamed_silently(path) is None
    monkeypatch.setattr(system, "IS_WINDOWS", True)
    assert cause in (renamed_silently(path) or "") if cause else renamed_silently(path) is None


@pytest.fixture
def is_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renames as those of Windows: there is no exchange, and none replaces silently."""

    def renamed(old: Path, new: Path) -> None:
        if new.exists():
            raise FileExistsError(errno.EEXIST, "exists", new)
        old.rename(new)

    monkeypatch.setattr(renames, "RENAMES_FREELY", False)
    monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    monkeypatch.setattr(renames, "os", type("os", (), {"rename": staticmethod(renamed)}))


@pytest.mark.usefixtures("is_windows")
def test_a_new_name_is_given_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "name").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "new", tmp_path / "name")
    rename_new(tmp_path / "new", tmp_path / "free")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["free", "name"]


def refused(path: Path, target: Path, real: object = Path.replace) -> Path:
    """`Path.replace`, as Windows has it for a file that is read-only."""
    if target.exists() and not target.stat().st_mode & 0o200:
        raise WindowsError(5, "Access is denied", target)
    return real(path, target)  # type: ignore[operator,no-any-return]


@pytest.mark.usefixtures("is_windows")
def test_a_read_only_file_is_replaced_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", refused)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "name").write_bytes(b"old")
    (tmp_path / "name").chmod(0o400)
    swap(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "new").read_bytes() == b"old"


@pytest.mark.usefixtures("is_windows")
def test_a_file_that_cannot_be_replaced_is_left_with_no_other_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, target: Path) -> Path:
        raise WindowsError(5, "Access is denied", target)

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, denied)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "name").write_bytes(b"old")
    with pytest.raises(PermissionError):
        swap(tmp_path / "new", tmp_path / "name")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["name", "new"]
    assert (tmp_path / "name").stat().st_nlink == 1


def test_a_source_reads_the_same_from_a_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "preadv"):
        monkeypatch.delattr(os, name, raising=False)
    (tmp_path / "file").write_bytes(DATA)
    source, buffer = FileSource(tmp_path / "file"), bytearray(5000)
    source.read_into(100, memoryview(buffer))
    assert source.read(3, 70_000) == DATA[3:70_003]
    assert buffer == DATA[100:5100]
    source.close()
