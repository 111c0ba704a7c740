"""Processes for many files: whatever a file does to its process costs that file alone, and every file has one result."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from ptzip.cli.batch.pool import Bounds
from tests.cli.batch.harm import run
from tests.cli.shell import environment

WORKERS = 3


def test_every_file_has_one_result_whatever_kills_its_process() -> None:
    paths = [f"{word} {number}" for number in range(8) for word in ("good", "kill", "good too", "exit")]
    found = run(paths, WORKERS)
    assert set(found) == set(paths)
    outcomes = Counter((path.partition(" ")[0], result.outcome) for path, result in found.items())
    assert outcomes == {("good", "intact"): 16, ("kill", "killed"): 8, ("exit", "killed"): 8}


@pytest.mark.posix("SIGKILL")
def test_a_result_says_what_ended_the_process() -> None:
    found = run(["kill", "exit"])
    assert found["kill"].error == "the process that read it was killed by SIGKILL (the system may have run out of memory)"
    assert found["exit"].error == "the process that read it ended with exit code 7"


def test_a_process_that_somebody_kills_while_it_waits_costs_at_most_one_file() -> None:
    def kill_one() -> None:
        for child in multiprocessing.active_children()[:1]:
            os.kill(child.pid or 0, signal.SIGKILL)

    paths = [f"good {number}" for number in range(40)]
    found = run(paths, each=kill_one)
    assert set(found) == set(paths)
    assert {result.outcome for result in found.values()} <= {"intact", "killed"}


def test_a_file_that_takes_too_long_is_given_up_and_the_others_are_not() -> None:
    found = run(["wait 1", "good 1", "wait 2", "good 2", "good 3"], bounds=Bounds(timeout=1))
    assert {path: result.outcome for path, result in found.items()} == {
        **dict.fromkeys(("wait 1", "wait 2"), "timeout"),
        **dict.fromkeys(("good 1", "good 2", "good 3"), "intact"),
    }
    assert found["wait 1"].error == "it took more than 1 s"


@pytest.mark.posix("a bound for the memory of a process")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound what a process maps")
def test_a_file_that_takes_too_much_memory_is_given_up_and_the_others_are_not() -> None:
    found = run(["fill 1", "good 1", "fill 2", "good 2"], count=1, bounds=Bounds(memory=1 << 30))
    assert [result.outcome for result in found.values()] == ["memory", "intact", "memory", "intact"]


def test_a_process_without_memory_for_a_result_costs_its_file_alone() -> None:
    found = run(["starve 1", "good 1", "starve 2", "good 2"])
    assert {path: result.outcome for path, result in found.items()} == {
        **dict.fromkeys(("starve 1", "starve 2"), "memory"),
        **dict.fromkeys(("good 1", "good 2"), "intact"),
    }


@pytest.mark.parametrize("bounds", [Bounds(timeout=1e300), Bounds(memory=10**30)], ids=["timeout", "memory"])
@pytest.mark.posix("a bound for the memory of a process")
def test_a_bound_beyond_all_systems_is_none(bounds: Bounds) -> None:
    assert {result.outcome for result in run(["good 1", "good 2"], bounds=bounds).values()} == {"intact"}


@pytest.mark.posix("a bound for the memory of a process")
def test_a_bound_is_at_most_that_of_the_system() -> None:
    program = "import resource as r; r.setrlimit(r.RLIMIT_DATA, (1 << 30, 1 << 30)); from tests.cli.batch import harm; "
    program += "print({one.outcome for one in harm.run(['good'], bounds=harm.Bounds(memory=1 << 33)).values()})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment())
    assert (ended.stdout, ended.stderr) == ("{'intact'}\n", "")


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    program = f"from tests.cli.batch import harm; harm.run(['wait'] * {WORKERS}, {WORKERS})"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.read(1) for _ in range(WORKERS)] == [b"."] * WORKERS
        parent.kill()
        rest, errors = parent.communicate(timeout=300)  # up to the end of the last process that could write
    assert rest == b""
    assert b"Traceback" not in errors
