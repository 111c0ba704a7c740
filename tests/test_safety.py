"""No code of a file ever runs, and no file is ever half written.

Both are tested from outside: a process is watched, killed, or denied the disk, and then its folder is compared.
"""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.io import atomic_output, renames
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Call, Global, Node, Tuple, walk
from tests import corpus
from tests.cli.audited_commands import CAUGHT
from tests.cli.kill_at_each_call import CALLS
from tests.cli.shell import environment, names, one_line
from tests.cli.shell import ptzip as run
from tests.small_checkpoints import Records, called, module_records, save, training_records


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty at first."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# No code of a file runs

MARKER = "marker"
"""The file that appears where a payload runs."""


def evil(module: str, name: str, text: str) -> Node:
    """A call with one text as its argument, which a loader would make."""
    return called(module, name, Tuple("TUPLE1", None, [atom(text)]))


def system() -> Node:
    return evil("os", "system", f"touch {MARKER}")


def evaluated() -> Node:
    return evil("builtins", "eval", f"open({MARKER!r}, 'w').close()")


class Reduced:
    """An object whose pickle makes a file when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path(MARKER),)


def popped(records: Records) -> Records:
    """The same, but the pickle first calls something and throws its result away."""
    call = b"cos\nsystem\nX\x0c\x00\x00\x00touch marker\x85R0"
    stream = records["data.pkl"]
    return records | {"data.pkl": stream[:2] + call + stream[2:]}


PAYLOADS = {
    "value.pt": training_records(best_fitness=system()),
    "eval.pt": training_records(best_fitness=evaluated()),
    "deep.pt": training_records(best_fitness=[{"a": (system(), evaluated())}]),
    "optimizer.pt": training_records(optimizer=system()),
    "results.pt": training_records(training_results=evaluated()),
    "module.pt": module_records(hook=system()),
    "key.pt": training_records(best_fitness={"k": evil("__builtin__", "exec", "import this")}),
    "popped.pt": popped(training_records()),
    "reduce.pt": training_records() | {"data.pkl": pickle.dumps({"epoch": 1, "model": Reduced()}, protocol=4)},
}

KEPT = "written"
UNKNOWN = "EditError: the file holds no tensors: "
THROWN_AWAY = "EditError: the pickle cannot be rewritten: values are created and discarded"

EXPECTED = {
    **dict.fromkeys(("value.pt", "eval.pt", "deep.pt", "optimizer.pt", "results.pt", "module.pt", "key.pt"), KEPT),
    "popped.pt": THROWN_AWAY,
    "reduce.pt": UNKNOWN,
}
"""What `ptzip slim` makes of each: a call is kept as it was written, or the file is refused."""


def watched(*files: str | Path, out: str | Path = "out") -> list[tuple[str, str, str]]:
    """Open, scan, inspect and slim files under the eyes of an audit hook: (file, view or recipe, outcome) for each attempt."""
    Path(out).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.cli.audited_commands", str(Path(out).resolve()), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    return [(file, recipe, outcome) for file, recipe, outcome in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "os.system('true')",
        "eval('1')",
        "exec('1')",
        "__import__('this')",
        "subprocess.run(['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "open('marker', 'w')",
        "os.remove('nothing')",
        "os.fork()",
    ],
)
def test_the_watched_process_is_stopped_by(code: str) -> None:
    program = f"import os, subprocess\nfrom tests.cli.audited_commands import watch\nwatch('/nowhere/')\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment(), check=False)
    assert done.returncode == CAUGHT
    assert names() == []


@pytest.mark.slow
def test_opening_scanning_inspecting_and_slimming_runs_nothing_of_a_hostile_file() -> None:
    for name, records in PAYLOADS.items():
        save(Path(name), records)
    outcomes = watched(*PAYLOADS)
    assert not Path(MARKER).exists()
    assert names() == sorted([*PAYLOADS, "out"])
    for file, recipe, outcome in outcomes:
        if recipe == "auto":
            assert outcome.startswith(EXPECTED[file]), file
        elif recipe == "open":
            assert outcome.startswith("opened: "), file
        elif recipe == "scan":
            assert outcome == "exit code 1 for malicious", file
        elif outcome.startswith("exit code"):
            assert outcome == "exit code 0", (file, recipe)


@pytest.mark.parametrize("file", [name for name, outcome in EXPECTED.items() if outcome != KEPT])
def test_a_hostile_file_that_is_refused_leaves_nothing(file: str) -> None:
    save(Path(file), PAYLOADS[file])
    one_line(run("slim", file), f"ptzip: error: {file}: ")
    assert names() == [file]


def calls(path: str | Path) -> set[str]:
    """The names that a loader would call."""
    with ptzip.open(path) as checkpoint:
        return {node.path for node in walk(checkpoint.root) if isinstance(node, Call)}


@pytest.mark.parametrize(
    ("file", "called_before", "called_after"),
    [
        ("value.pt", {"os.system"}, {"os.system"}),
        ("eval.pt", {"builtins.eval"}, {"builtins.eval"}),
        ("module.pt", {"os.system"}, {"os.system"}),
        ("optimizer.pt", {"os.system"}, set()),
        ("results.pt", {"builtins.eval"}, set()),
    ],
)
def test_a_call_in_what_is_kept_stays_and_one_in_what_goes_is_gone(
    file: str, called_before: set[str], called_after: set[str]
) -> None:
    save(Path(file), PAYLOADS[file])
    ptzip.slim(file, "out.pt")
    hostile = {"os.system", "builtins.eval"}
    assert calls(file) & hostile == called_before
    assert calls("out.pt") & hostile == called_after


def test_what_a_popped_call_would_have_done_is_still_seen() -> None:
    save(Path("popped.pt"), PAYLOADS["popped.pt"])
    with ptzip.open("popped.pt") as checkpoint:
        assert next(node.path for node in checkpoint.pickle.calls if isinstance(node, Global)) == "os.system"
        assert [anomaly.kind for anomaly in checkpoint.anomalies] == ["popped"]


@pytest.mark.slow
@corpus.needs_corpus
def test_nothing_of_any_hostile_file_of_the_corpus_runs() -> None:
    files = corpus.files("threats")
    outcomes = watched(*files)
    assert {file for file, _, _ in outcomes} == set(map(str, files))
    assert names() == ["out"]
    written = {outcome for _, _, outcome in outcomes if ":" not in outcome and not outcome.startswith("exit code")}
    assert written <= {"written", "slim already"}


# killed at any point


def kill_points(path: Path) -> list[list[str]]:
    command = [sys.executable, "-m", "tests.cli.kill_at_each_call", str(path)]
    quiet = environment({"PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1"})  # newer Pythons warn of forks beside threads
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=True)
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_before_in_or_after_any_system_call_the_file_is_the_old_or_the_new_one() -> None:
    path = save(Path("last.pt"))
    new = slimmed(path).hex()
    points = kill_points(path)
    assert {state for *_, state in points} == {"old", new}
    assert {name for _, name, *_ in points} == set(CALLS) - {"unlink"}
    for _, name, moment, state in points:
        if state == new:  # only once it was moved there, which follows its fsync
            assert (name, moment) == ("replace", "after") or name in ("open", "fsync", "close")
    check_next_run(path, new)


def check_next_run(path: Path, expected: str) -> None:
    """What killed runs left behind are files by a name of ours, and the next run is none the worse for them."""
    left = set(names()) - {path.name}
    assert left
    assert all(name.startswith(".ptzip-") and name.endswith(".tmp") for name in left)
    assert run("slim", "-i", path).code == 0
    assert path.read_bytes().hex() == expected


def test_the_bytes_are_on_the_disk_before_the_old_file_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = save(Path("last.pt")), list[str]()
    for name in ("pwrite", "fsync"):
        monkeypatch.setattr(os, name, noting(order, name))
    monkeypatch.setattr(atomic_output, "swap", noting(order, "swap", renames.swap))
    run("slim", "-i", path)
    assert order[-3:] == ["fsync", "swap", "fsync"]  # the file, its name, the folder that holds the name
    assert set(order[:-3]) == {"pwrite"}


def noting(order: list[str], name: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    call = function or getattr(os, name)

    def noted(*arguments: Any, **named: Any) -> Any:
        order.append(name)
        return call(*arguments, **named)

    return noted


def slimmed(path: Path) -> bytes:
    """What `ptzip slim` makes of a file."""
    output = path.with_name("expected")
    ptzip.slim(path, output)
    data = output.read_bytes()
    output.unlink()
    return data


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 3, 8, 15, 30])
def test_killed_from_outside_while_a_large_file_is_written_it_is_the_old_or_the_new_one(milliseconds: int) -> None:
    path = save(Path("last.pt"), training_records(count=1 << 21))
    before, after = path.read_bytes(), slimmed(path)
    command = [sys.executable, "-m", "ptzip", "slim", "-q", "-i", str(path)]
    with subprocess.Popen(command, env=environment()) as running:
        while running.poll() is None and names() == ["last.pt"]:
            time.sleep(0.0005)
        time.sleep(milliseconds / 1000)
        running.send_signal(signal.SIGKILL)
    assert path.read_bytes() in (before, after)


# no room on the disk

LIMITED = """
import resource, sys
from ptzip.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 64, 2134])
@pytest.mark.parametrize("flags", [(), ("-i",), ("-f", "-o", "there.pt")])
def test_a_file_that_may_not_grow_is_one_error_line_and_leaves_all_as_it_was(limit: int, flags: tuple[str, ...]) -> None:
    path = save(Path("last.pt"))
    Path("there.pt").write_bytes(b"mine")
    before = path.read_bytes()
    command = [sys.executable, "-B", "-c", LIMITED, str(limit), "slim", "last.pt", *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "ptzip: error: last.pt: file too large\n")
    assert names() == ["last.pt", "there.pt"]
    assert (path.read_bytes(), Path("there.pt").read_bytes()) == (before, b"mine")


def test_a_file_that_may_grow_just_enough_is_written() -> None:
    path = save(Path("last.pt"))
    command = [sys.executable, "-B", "-c", LIMITED, str(len(slimmed(path))), "slim", "last.pt", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("flags", [(), ("-i",)])
def test_a_full_disk_is_one_error_line_and_leaves_all_as_it_was(flags: tuple[str, ...], small_disk: Path) -> None:
    path = save(small_disk / "last.pt", training_records(count=1 << 16))
    (small_disk / "filler").write_bytes(bytes((1 << 20) - path.stat().st_size - (100 << 10)))
    before = path.read_bytes()
    where = "" if flags else f": {small_disk / 'last.slim.pt'}"
    assert one_line(run("slim", path, *flags), f"ptzip: error: {path}: ") == f"no space left on device{where}"
    assert names(small_disk) == ["filler", "last.pt"]
    assert path.read_bytes() == before


class Failing:
    """Lets the call number `at` of all that ptzip asks of the system fail."""

    def __init__(self, at: int, fault: int) -> None:
        self.left, self.fault = at, fault
        self.failed = ""
        self.lock = threading.Lock()

    def wrapped(self, name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            with self.lock:
                self.left -= 1
                fails = self.left == 0
            if fails:
                self.failed = name
                raise OSError(self.fault, os.strerror(self.fault))
            return call(*arguments, **named)

        return counted


def fail_everywhere(path: Path, fault: int, *flags: str) -> Iterator[tuple[str, Any]]:
    """Slim once for each system call, which fails: its name and the result of the run."""
    before = path.read_bytes()
    for at in range(1, 1000):
        path.write_bytes(before)
        failing = Failing(at, fault)
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing.wrapped(name))
            result = run("slim", path, *flags)
        if not failing.failed:
            return
        yield failing.failed, result


@pytest.mark.slow
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("flags", [("-i",), ("-f",)])
def test_any_system_call_that_fails_is_one_error_line_and_leaves_all_as_it_was(fault: int, flags: tuple[str, ...]) -> None:
    path = save(Path("last.pt"))
    before, new = path.read_bytes(), slimmed(path)
    written = path if flags == ("-i",) else Path("last.slim.pt")
    failed = set()
    for name, result in fail_everywhere(path, fault, *flags):
        failed.add(name)
        if result.code == 0:  # what makes the rename durable may fail, and so may what only looks after the owner
            assert name in ("open", "fsync", "close", "fchmod", "fchown")
            assert written.read_bytes() == new
            if written != path:
                written.unlink()
            continue
        cause = one_line(result, "ptzip: error: last.pt: ")
        assert cause.startswith(os.strerror(fault).lower())
        assert path.read_bytes() == before
        assert names() == ["last.pt"]
    assert failed == set(CALLS) - {"unlink"} - ({"fsync", "fchown"} if flags == ("-f",) else set())


def few_bytes(name: str, count: int) -> Callable[..., Any]:
    """`os.pread` or `os.pwrite` that does no more than a few bytes at a time, as the system may at any time."""
    call = getattr(os, name)
    if name == "pread":
        return lambda descriptor, length, offset: call(descriptor, min(length, count), offset)
    return lambda descriptor, data, offset: call(descriptor, memoryview(data)[:count], offset)


@pytest.mark.parametrize("name", ["pread", "pwrite"])
@pytest.mark.parametrize("count", [1, 7])
def test_a_system_that_does_a_few_bytes_at_a_time_changes_nothing(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(Path("last.pt"))
    expected = slimmed(path)
    monkeypatch.setattr(os, name, few_bytes(name, count))
    assert slimmed(path) == expected
