"""No code of a file ever runs, and no file is ever half written.

Both are tested from outside: a process is watched, killed, or denied the disk, and then its folder is compared.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.io import atomic_output
from ptzip.io import system as io_system
from ptzip.io.renames import swap
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Call, Global, Node, Tuple, walk
from tests import corpus
from tests.cli.audited_commands import CAUGHT
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
            assert outcome == "exit code 3 for malicious", file
        elif outcome.startswith("exit code"):
            assert outcome == "exit code 0", (file, recipe)


@pytest.mark.parametrize("file", [name for name, outcome in EXPECTED.items() if outcome != KEPT])
def test_a_hostile_file_that_is_refused_leaves_nothing(file: str) -> None:
    save(Path(file), PAYLOADS[file])
    result = run("slim", file)
    error, warning = result.err.splitlines()
    assert (result.code, result.out) == (2, "")
    assert error.startswith(f"ptzip: error: {file}: ")
    assert warning.startswith(f"ptzip: warning: {file}: this file is malicious")
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


# killed at any moment; `tests.faults` has every call


@pytest.mark.posix("fsync of a folder")
def test_the_bytes_are_on_the_disk_before_the_old_file_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = save(Path("last.pt")), list[str]()
    monkeypatch.setattr(os, "fsync", noting(order, "fsync", os.fsync))
    monkeypatch.setattr(atomic_output, "swap", noting(order, "swap", swap))
    assert run("slim", "-i", path).code == 0
    assert order == ["fsync", "swap", "fsync"]  # the file, its name, the folder that holds the name


def noting(order: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        order.append(name)
        return call(*arguments)

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
    named = {(): ": last.slim.pt", ("-i",): ""}.get(flags, ": there.pt")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ptzip: error: last.pt: file too large{named}\n")
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
    named = "" if flags else f": {small_disk / 'last.slim.pt'}"
    assert one_line(run("slim", path, *flags), f"ptzip: error: {path}: ") == f"no space left on device{named}"
    assert names(small_disk) == ["filler", "last.pt"]
    assert path.read_bytes() == before


def few_bytes(name: str, count: int) -> Callable[..., Any]:
    """A call that reads or writes no more than a few bytes at a time, as the system may at any time."""
    call = getattr(io_system, name)
    if name == "read_at":
        return lambda descriptor, length, offset: call(descriptor, min(length, count), offset)
    return lambda descriptor, data, offset: call(descriptor, memoryview(data)[:count], offset)


@pytest.mark.parametrize("name", ["read_at", "write_some"])
@pytest.mark.parametrize("count", [1, 7])
def test_a_system_that_does_a_few_bytes_at_a_time_changes_nothing(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(Path("last.pt"))
    expected = slimmed(path)
    monkeypatch.setattr(io_system, name, few_bytes(name, count))
    assert slimmed(path) == expected
