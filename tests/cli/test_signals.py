"""Signals at any moment, from the first import on: no traceback, no unfinished file, and the exit code of a shell."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.shell import environment, names, shell

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131}
SENT = [
    pytest.param(sent, marks=pytest.mark.posix(sent.name)) if sent in (signal.SIGHUP, signal.SIGQUIT) else sent
    for sent in EXIT_CODES
]
RUNS = 6
"""Signals of each kind, at moments that cover a whole run."""


def start(*words: str, ignored: signal.Signals | None = None) -> subprocess.Popen[bytes]:
    """Start ptzip in a process that is listening to every signal but one."""

    def listen() -> None:
        for number in EXIT_CODES:
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    command = [sys.executable, "-m", "ptzip", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment(), preexec_fn=listen)


IMPORTING = """
import os, signal, sys
class Killer:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Killer())
sys.argv[0] = "ptzip"
from ptzip.__main__ import run
run()
"""


@pytest.mark.parametrize(
    "name", ["ptzip.cli", "ptzip.cli.main", "argparse", "ptzip.cli.slim", "ptzip.api", "ptzip.slimming.write"]
)
@pytest.mark.parametrize("sent", SENT)
def test_a_signal_while_modules_are_imported_ends_the_process(name: str, sent: signal.Signals, last: Path) -> None:
    before = last.read_bytes()
    program = IMPORTING.format(name=name, signal=sent.name)
    command: list[str | Path] = [sys.executable, "-c", program, "slim", "-i", last]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    said = b"ptzip: interrupted, nothing written\n" if sent is signal.SIGINT else b""
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_CODES[sent], b"", said)
    assert (names(), last.read_bytes()) == (["last.pt"], before)


@pytest.mark.parametrize("sent", SENT)
def test_a_signal_at_any_moment_leaves_the_old_file_or_the_new_one(sent: signal.Signals, last: Path) -> None:
    before, chance = last.read_bytes(), random.Random(sent)
    started = time.monotonic()
    assert shell("slim", "-i", "last.pt").code == 0
    seconds, after = time.monotonic() - started, last.read_bytes()
    for _ in range(RUNS):
        last.write_bytes(before)
        with start("slim", "-i", "last.pt") as running:
            time.sleep(chance.uniform(0, seconds))
            running.send_signal(sent)
            _, printed = running.communicate()
        assert names() == ["last.pt"]
        assert last.read_bytes() in (before, after)
        assert b"Traceback" not in printed or b", in run\n" not in printed  # before `run`, Python itself is interrupted
        assert running.returncode in (0, EXIT_CODES[sent], -sent, 1)


@pytest.mark.posix("SIGHUP")
def test_a_signal_that_is_ignored_stays_ignored(last: Path) -> None:
    with start("slim", "-i", "last.pt", ignored=signal.SIGHUP) as running:
        for _ in range(20):
            running.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        assert running.wait() == 0


def test_two_signals_at_once_are_like_one(last: Path) -> None:
    with start("slim", "-i", "last.pt") as running:
        time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGINT)
        _, printed = running.communicate()
    assert names() == ["last.pt"]
    assert b"Traceback" not in printed or running.returncode == 1


@pytest.mark.posix("folders can be locked")
def test_a_killed_process_leaves_at_most_one_folder_which_the_next_removes(last: Path) -> None:
    chance = random.Random(9)
    for _ in range(RUNS):
        with start("slim", "-f", "last.pt") as running:
            time.sleep(chance.uniform(0, 0.4))
            running.kill()
        assert len([name for name in names() if name.startswith(".ptzip-")]) <= 1
        assert {name for name in names() if not name.startswith(".ptzip-")} <= {"last.pt", "last.slim.pt"}
    assert shell("slim", "-f", "last.pt").code == 0
    assert names() == ["last.pt", "last.slim.pt"]


@pytest.mark.posix("folders can be locked")
def test_the_folder_of_a_process_that_is_at_work_stays(last: Path) -> None:
    folder = Path(f".ptzip-{'0' * 16}.tmp")
    folder.mkdir()
    (folder / "0").write_bytes(b"half")
    lock = "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)"
    hold = f"import fcntl, os, sys; {lock}; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", hold, folder], stdin=pipe, stdout=pipe) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert shell("slim", "last.pt").code == 0
        assert (folder / "0").read_bytes() == b"half"
        owner.communicate()
    Path("last.slim.pt").unlink()
    assert shell("slim", "last.pt").code == 0
    assert not folder.exists()
