"""Runs commands of ptzip of which one system call fails, each call in turn, and looks at what is left behind.

The shim needs a C compiler and a system that knows LD_PRELOAD; `COMPILER` is "" where there is none.
"""

import errno
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.cli.shell import environment
from tests.files_of_checkpoints import tarred

COMPILER = (shutil.which("cc") or "") if sys.platform == "linux" else ""
HERE = Path(__file__).parent

SHORT, ZERO, SIGNAL, KILL_AFTER = 1000, 1001, 2000, 3000
"""Kinds of faults that are no error numbers, as `shim.c` has them."""

KINDS: Mapping[str, tuple[int, bool]] = {
    "EIO": (errno.EIO, False),
    "EIO from then on": (errno.EIO, True),
    "ENOSPC from then on": (errno.ENOSPC, True),
    "EINTR": (errno.EINTR, False),
    "short": (SHORT, False),
    "short from then on": (SHORT, True),
    "zero": (ZERO, False),
    "SIGINT": (SIGNAL + signal.SIGINT, False),
    "SIGTERM": (SIGNAL + signal.SIGTERM, False),
    "SIGHUP": (SIGNAL + signal.SIGHUP, False),
    "SIGKILL before": (SIGNAL + signal.SIGKILL, False),
    "SIGKILL after": (KILL_AFTER, False),
}
"""What a call does, and whether all later calls do it too."""

SIGNALS = frozenset(name for name in KINDS if name.startswith("SIG"))
KILLS = frozenset(("SIGKILL before", "SIGKILL after"))


class Case(NamedTuple):
    """A command: its words, with IN for the input and OUT for the output, and what is there before it runs."""

    name: str
    words: tuple[str, ...]
    there: Mapping[str, bytes]


class Run(NamedTuple):
    """One run: the call that failed ("" if the command made fewer), the exit code, the output, and all files it left."""

    case: Case
    kind: str
    at: int
    call: str
    code: int
    text: str
    files: Mapping[str, bytes]
    temporary: int


class Faults:
    """Runs commands in a folder, which is emptied before each."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        library = folder / "shim.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-w", "-o", library, HERE / "shim.c", "-ldl"], check=True)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment({"LD_PRELOAD": str(library)}),
        )

    def close(self) -> None:
        self.child.communicate()

    def run(self, case: Case, kind: str = "EIO", at: int = 0, keep: bool = False) -> Run:
        """Run a command whose call number `at` fails; with 0 none does. With `keep`, what the last run left stays there."""
        if not keep:
            shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(exist_ok=True)
        for name, data in case.there.items():
            (self.work / name).write_bytes(data)
        words = [word.replace("DIR", str(self.work)) for word in case.words]
        number, is_lasting = KINDS[kind]
        given = {"folder": str(self.work), "kind": number, "at": at, "lasting": is_lasting, "words": words}
        done = self._ask(given)
        left = list(self.work.iterdir())
        files = {path.name: path.read_bytes() for path in left if not path.name.startswith(".ptzip-")}
        return Run(case, kind, at, done["call"], done["code"], done["text"], files, len(left) - len(files))

    def _ask(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps(given) + "\n")
        self.child.stdin.flush()
        answer: Mapping[str, Any] = json.loads(self.child.stdout.readline())
        return answer

    def sweep(self, case: Case, kind: str, step: int = 1) -> Iterator[Run]:
        """One run for each call that the command makes, or for every `step`th."""
        at = 1
        while True:
            done = self.run(case, kind, at)
            if not done.call:
                return
            yield done
            at += step


def cases(data: bytes) -> list[Case]:
    """Every kind of output, of a small checkpoint with the bytes `data`."""
    old = {"in.pt": data, "out.pt": b"old"}
    shards = ("convert", "DIR/in.pt", "-o", "DIR/out.safetensors", "--max-shard-size", "8", "--sidecar")
    return [
        Case("slim -o", ("slim", "DIR/in.pt", "-o", "DIR/out.pt"), {"in.pt": data}),
        Case("slim -o .zst", ("slim", "DIR/in.pt", "-o", "DIR/out.pt.zst"), {"in.pt": data}),
        Case("slim -o -f", ("slim", "-f", "DIR/in.pt", "-o", "DIR/out.pt"), old),
        Case("slim -i", ("slim", "-i", "DIR/in.pt"), {"in.pt": data}),
        Case("slim a tar", ("slim", "DIR/in.pt", "-o", "DIR/out.pt"), {"in.pt": tarred({"a.pt": data, "b.txt": b"b"})}),
        Case("convert to shards", shards, {"in.pt": data}),
        Case("convert to shards -f", (*shards, "-f"), {"in.pt": data, "out.safetensors.index.json": b"old"}),
        Case("average", ("average", "DIR/in.pt", "DIR/b.pt", "-o", "DIR/out.pt"), {"in.pt": data, "b.pt": data}),
        Case("repair", ("repair", "DIR/in.pt", "-o", "DIR/out.pt"), {"in.pt": data[:-100]}),
    ]


WRITING = frozenset(("pwrite64", "fsync", "mkdir", "ftruncate", "ftruncate64", "link", "linkat", "renameat2"))


def faults_in(run: Run, expected: Mapping[str, bytes]) -> list[str]:
    """What a run did that ptzip promises not to; `expected` are all files after a run without a fault."""
    found, before = list[str](), run.case.there
    may_be_partial = (
        run.kind in KILLS or "then on" in run.kind
    )  # several names are several steps, and undoing them may fail too
    is_set = "shards" in run.case.name and may_be_partial
    is_whole = all(run.files.get(name) in (before.get(name), expected.get(name)) for name in {*run.files, *expected})
    if not is_whole or not (is_set or run.files in (before, expected)):
        found.append("neither the old files nor the new ones")
    if run.code == 0 and run.files != expected:
        found.append("exit code 0 without the output")
    may_remain = run.kind in KILLS or "then on" in run.kind or run.call in ("unlink", "rmdir")  # removing itself fails
    if run.temporary > (1 if may_remain else 0):
        found.append(f"{run.temporary} temporary files")
    if "Traceback" in run.text:
        found.append("a traceback")
    if run.code == 2 and run.text.count("ptzip: error: ") != 1:
        found.append("not one error line")
    if run.code not in (0, 1, 2) and run.kind not in SIGNALS:
        found.append(f"exit code {run.code}")
    is_named = "out" in run.text.rpartition("in.pt: ")[2] or "slim -i" in run.case.name
    if run.kind == "EIO" and run.call in WRITING and run.code == 2 and not is_named:
        found.append("an error that does not name the output")
    return found
