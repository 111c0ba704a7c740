"""Many files: `python -m tests.bench.many_files FOLDER [SMALL LARGE]` (Linux).

Scans 10,000 small checkpoints and slims 20 sparse ones of 100 MB in one process, in two, and on a dask cluster of two; then the
small ones again while workers are killed. For each run: files per second, the CPU time of all its processes, also as a part of
that of one process, the highest peak of memory of the first process and of any other, and that each file has one result.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import KIB_PER_MIB, environment
from tests.small_checkpoints import archive, training_records

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans of its children become children of this process, so that their CPU time can be counted."""

COUNTS = range(200, 2200, 100)
"""Numbers in each tensor of the small files, which makes 5 to 50 KB."""

LARGE_COUNT = 12_500_000
KILLS = 3
DASK = ("-j", "2", "--scheduler", "local")
WAYS = (
    ("one process", ("-j", "1"), False),
    ("-j 2", ("-j", "2"), False),
    ("-j 2, workers killed", ("-j", "2"), True),
    ("dask, 2 workers", DASK, False),
    ("dask, workers killed", DASK, True),
)
"""How the files are shared, and whether workers are killed meanwhile (with the small files)."""


class Cost(NamedTuple):
    """Seconds of wall time, of CPU time of all processes, and peaks of memory in MiB: of the first process and of any other."""

    wall: float
    cpu: float
    first: float
    others: float


def inputs(folder: Path, small: int, large: int) -> None:
    """Write the files; the large ones are one file under several names, which changes nothing for their reader."""
    (folder / "small").mkdir(parents=True)
    (folder / "large").mkdir()
    kinds = [archive(training_records(count)) for count in COUNTS]
    for number in range(small):
        (folder / "small" / f"{number:05}.pt").write_bytes(kinds[number % len(kinds)])
    whole = folder / "large" / "00000.pt"
    whole.write_bytes(archive(training_records(LARGE_COUNT)))
    for number in range(1, large):
        (folder / "large" / f"{number:05}.pt").hardlink_to(whole)


def run(words: Sequence[str], folder: Path, meanwhile: Callable[[int], object] = int) -> Cost:
    """Run ptzip and wait for all processes that it started."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "ptzip", *words], cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    meanwhile(child.pid)
    _, status, own = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    cpu, most = own.ru_utime + own.ru_stime, 0
    while True:
        try:
            _, _, more = os.wait3(0)
        except ChildProcessError:
            return Cost(wall, cpu, own.ru_maxrss / KIB_PER_MIB, most / KIB_PER_MIB)
        cpu, most = cpu + more.ru_utime + more.ru_stime, max(most, more.ru_maxrss)


def workers(pid: int) -> list[int]:
    """The processes below one that do tasks: those that a fork server or a nanny of dask started."""
    found = list[int]()
    for child in " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split():
        below = workers(int(child))
        is_worker = b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
        found += below or ([int(child)] if is_worker else [])
    return found


def kill_some(log: Path, files: int) -> Callable[[int], object]:
    """Kill a worker each time that another quarter of the files is done."""

    def kill(pid: int) -> None:
        for part in range(1, KILLS + 1):
            while not log.exists() or log.read_bytes().count(b"\n") < files * part // (KILLS + 1):
                time.sleep(0.05)
            while not (found := workers(pid)):
                time.sleep(0.05)
            os.kill(random.Random(part).choice(found), signal.SIGKILL)

    return kill


def outcomes(log: Path, files: int) -> str:
    """How many files have which outcome; an error where one has no line or more than one."""
    paths, words = Counter[str](), Counter[str]()
    with log.open("rb") as lines:  # not all at once, since peaks of memory are inherited
        for line in map(json.loads, lines):
            paths[line["report"]["path"]] += 1
            words[line["outcome"]] += 1
    assert len(paths) == paths.total() == files, (len(paths), paths.total(), files)
    return ", ".join(f"{words[word]} {word}" for word in sorted(words))


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    small, large = (int(sys.argv[2]), int(sys.argv[3])) if sys.argv[2:] else (10_000, 20)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made = [
        sys.executable,
        "-c",
        f"from tests.bench import many_files as m; m.inputs(m.Path({str(folder)!r}), {small}, {large})",
    ]
    subprocess.run(made, env=environment(), check=True)  # a child, since peaks of memory are inherited
    columns = ("files", "way", "files/s", "CPU s", "CPU of one process", "first MiB", "others MiB", "outcomes")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name, command, count in (("small", ["scan", "-q"], small), ("large", ["slim", "-q", "--no-sync", "-o", "out/"], large)):
        one = 0.0
        for way, flags, kills in WAYS:
            log = folder / f"{name} {way}.jsonl"
            words = [*command, str(folder / name), *flags, "--jsonl", str(log)]
            cost = run(words, folder, kill_some(log, count) if kills and name == "small" else int)
            shutil.rmtree(folder / "out", ignore_errors=True)
            one = one or cost.cpu
            row = (f"{count} {name}", way, f"{count / cost.wall:.0f}", f"{cost.cpu:.1f}", f"{one / cost.cpu:.0%}")
            print(f"| {' | '.join((*row, f'{cost.first:.0f}', f'{cost.others:.0f}', outcomes(log, count)))} |", flush=True)


if __name__ == "__main__":
    main()
