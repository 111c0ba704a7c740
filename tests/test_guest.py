"""ptzip as a guest of another program: nothing of the host changes, and no file that is cut off kills it."""

import gc
import locale
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import ptzip
from ptzip.errors import ChangedError
from tests.cli.shell import environment
from tests.corpus import FIXTURES
from tests.small_checkpoints import save

SOURCE = FIXTURES / "training.pt"

VERBS: dict[str, Callable[[Path], object]] = {
    "open": lambda folder: ptzip.open(SOURCE).close(),
    "inspect": lambda folder: ptzip.inspect(SOURCE),
    "scan": lambda folder: ptzip.scan(SOURCE),
    "verify": lambda folder: ptzip.verify(SOURCE, values=True),
    "diff": lambda folder: ptzip.diff(SOURCE, SOURCE),
    "load": lambda folder: ptzip.load(SOURCE, unknown="keep"),
    "slim": lambda folder: ptzip.slim(SOURCE, folder / "slim.pt"),
    "convert": lambda folder: ptzip.convert(SOURCE, folder / "out.safetensors"),
}


def state() -> object:
    """What a program can set for the whole process."""
    return (
        (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        [signal.getsignal(number) for number in signal.valid_signals()],
        (sys.getswitchinterval(), sys.getrecursionlimit(), sys.excepthook, sys.unraisablehook),
        (list(warnings.filters), locale.setlocale(locale.LC_ALL), dict(os.environ), Path.cwd()),
    )


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_of_the_host_changes(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("this is the host's to do")

    for name in ("freeze", "unfreeze", "disable", "enable", "set_threshold", "collect"):
        monkeypatch.setattr(gc, name, forbidden)
    monkeypatch.setattr(os, "umask", forbidden)
    threads = {*threading.enumerate()}  # servers of other tests may have some
    VERBS[verb](tmp_path)  # what numpy sets when it is imported is not ours
    before = state()
    (tmp_path / "again").mkdir()
    VERBS[verb](tmp_path / "again")
    assert state() == before
    assert {*threading.enumerate()} <= threads


OPENS, GARBAGE = 600, 1 << 20
"""How often a host opens a file, and the bytes it leaves behind each time, which only its garbage collector finds."""


class Garbage:
    """An object that only the garbage collector removes."""

    living = 0

    def __init__(self) -> None:
        self.own, self.data = self, bytes(GARBAGE)
        Garbage.living += 1

    def __del__(self) -> None:
        Garbage.living -= 1


def test_the_garbage_of_a_host_is_collected_as_ever_between_opens() -> None:
    before, most = (gc.get_threshold(), gc.get_freeze_count()), 0
    started = [generation["collections"] for generation in gc.get_stats()]
    for _ in range(OPENS):
        Garbage()
        ptzip.open(SOURCE).close()
        most = max(most, Garbage.living)
    done = [generation["collections"] - start for generation, start in zip(gc.get_stats(), started, strict=True)]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    assert 0 < done[1] <= done[0]
    assert most < OPENS / 10


class Cut:
    """A pickle of some MB: long texts."""

    data = pickle.dumps([f"{number:0100}" for number in range(60_000)], 2)


READ = """
import os, sys, ptzip
from ptzip.io import sources
path, read = sys.argv[2], sources.FileSource.read
def cutting(source, offset, length):
    if offset > 1 << 21:
        os.truncate(path, 100)
    return read(source, offset, length)
sources.FileSource.read = cutting
try:
    print(getattr(ptzip, sys.argv[1])(path))
except ptzip.PtzipError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("verb", ["scan", "verify", "inspect", "open", "load", "slim"])
def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_and_kills_nobody(verb: str, tmp_path: Path) -> None:
    (tmp_path / "bare.pkl").write_bytes(Cut.data)
    command: list[str | Path] = [sys.executable, "-c", READ, verb, tmp_path / "bare.pkl"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ChangedError" in done.stdout or "ends" in done.stdout or "changed while it was read" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bare.pkl"]


@pytest.mark.parametrize("verb", ["scan", "verify", "inspect", "load"])
def test_a_file_that_is_replaced_while_it_is_read_gets_no_report(verb: str, tmp_path: Path) -> None:
    path = save(tmp_path / "last.pt")
    program = READ.replace("offset > 1 << 21", "offset == 0").replace("os.truncate(path, 100)", "os.utime(path)")
    done = subprocess.run(
        [sys.executable, "-c", program, verb, path], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "changed while it was read" in done.stdout


@pytest.mark.parametrize("path", [SOURCE, *sorted((FIXTURES).glob("*.safetensors"))], ids=lambda path: path.name)
def test_a_tensor_of_a_closed_checkpoint_is_a_ptzip_error(path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        tensor = next(tensor for tensor in checkpoint.values() if tensor.numel)
    for use in (tensor.numpy, lambda: tensor[0], lambda: list(checkpoint), lambda: len(checkpoint), lambda: checkpoint.root):
        with pytest.raises(ptzip.PtzipError, match="closed"):
            use()


def test_closing_while_other_threads_read_gives_right_bytes_or_an_error() -> None:
    expected = {name: tensor.numpy().tobytes() for name, tensor in ptzip.open(SOURCE).items()}
    wrong = list[str]()

    def read(checkpoint: ptzip.Checkpoint) -> None:
        try:
            for name, tensor in checkpoint.items():
                if tensor.numpy().tobytes() != expected[name]:
                    wrong.append(name)
        except ptzip.PtzipError:
            pass

    for _ in range(20):
        checkpoint = ptzip.open(SOURCE)
        checkpoint.tensors()
        threads = [threading.Thread(target=read, args=(checkpoint,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        checkpoint.close()
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]  # they get the number of the descriptor, if it is free
        for thread in threads:
            thread.join()
        for other in others:
            os.close(other)
    assert wrong == []


@pytest.mark.parametrize("suffix", ["pt", "safetensors", "npz"])
def test_a_tensor_is_not_read_from_another_version_of_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"last.{suffix}"
    ptzip.convert(save(tmp_path / "in.pt"), path)
    with ptzip.open(path) as checkpoint:
        tensor = next(tensor for tensor in checkpoint.values() if tensor.numel)
        tensor.numpy()
        status = path.stat()
        with path.open("r+b") as file:  # in place, and as long as before
            file.write(path.read_bytes())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        for use in (tensor.numpy, lambda: tensor[0]):
            with pytest.raises(ChangedError, match="another program wrote to it"):
                use()
