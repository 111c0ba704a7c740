"""The growth of CPU time and memory with the size of a file, for every command and for shapes that made some quadratic.

    python -m tests.bench.growth [--times K] [SHAPE...]

Each shape is built with 4n parts, and each command runs on it in its own process; only where that takes longer than `SHORTEST`
are 2n parts measured, too, and n parts where the ratio is above `CLEAR`. `--times` makes n larger. A command that says which
limit is exceeded has not grown. Prints a table in Markdown; exits with 1 where a doubling costs more than `MOST_GROWTH` times the CPU, less
that of the start of Python.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench.shapes import FILES

MOST_GROWTH = 2.6
SHORTEST, CLEAR = 0.5, 2.2
"""Seconds of CPU beyond the start; a ratio of less time says nothing. A smaller ratio leaves no doubt."""

MOST_CPU = 120
"""Seconds of CPU after which a command is ended."""

COMMANDS = [
    line.split()
    for line in """
scan IN
inspect IN
inspect IN --tree --all
inspect IN --tensors --all
verify IN
diff IN OTHER
slim IN -o OUT.pt --no-scan --no-sync -f --check
convert IN -o OUT.safetensors --all --no-sync -f
repair IN -o OUT.pt --no-sync -f
""".strip().splitlines()
]
FOR_BARE = 6
"""So many of them handle a bare pickle in another way than one in a zip."""


class Cost(NamedTuple):
    """CPU seconds and peak MiB of one process, and why they are no measure ("" if they are one)."""

    seconds: float
    peak: float
    note: str


def cost(command: list[str], folder: Path) -> Cost:
    """The cost of a command in its own process, which must stay the child of a small one: its peak starts with that of its
    parent.
    """
    named = {"IN": "in.pt", "OTHER": "other.pt", "OUT.pt": "out.pt", "OUT.safetensors": "out.safetensors"}
    words = [sys.executable, "-m", "ptzip", *(named.get(word, word) for word in command)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with (folder / "output").open("w+b") as output:
        child = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
        resource.prlimit(child.pid, resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(max(output.seek(0, os.SEEK_END) - 2000, 0))
        last = output.read()
    note = "killed" if child.returncode < 0 else "limit" if b"--limit" in last else "error" if b"Traceback" in last else ""
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, note)


def write(name: str, n: int, folder: Path) -> None:
    shape = FILES[name][1]
    (folder / "in.pt").write_bytes(shape(n, 0))
    (folder / "other.pt").write_bytes(shape(n, 1))


def build(name: str, n: int, folder: Path) -> None:
    """Write a shape and one that differs, from another process, so that this one stays small."""
    made = multiprocessing.get_context("spawn").Process(target=write, args=(name, n, folder))
    made.start()
    made.join()
    if made.exitcode:
        sys.exit(f"{name} of {n} parts could not be built")


def is_in_doubt(seconds: list[float]) -> bool:
    """Whether half as many parts are to be measured, after those that took so long."""
    return not seconds or (seconds[0] > SHORTEST and (len(seconds) == 1 or seconds[0] > CLEAR * seconds[1]))


def measured(name: str, n: int, folder: Path, starts: list[Cost]) -> bool:
    """Print the costs of all commands for one shape; whether they grow no faster than the file."""
    commands = COMMANDS[: FOR_BARE if name.endswith("(bare)") else None]
    costs: list[list[Cost]] = [[] for _ in commands]
    for parts in (4 * n, 2 * n, n):
        build(name, parts, folder)
        for command, start, found in zip(commands, starts, costs, strict=False):
            if is_in_doubt([one.seconds - start.seconds for one in found]):
                found.append(cost(command, folder))
    results = [row(name, n, *each) for each in zip(commands, starts, costs, strict=False)]
    return all(results)


def row(name: str, n: int, command: list[str], start: Cost, costs: list[Cost]) -> bool:
    """Print the costs of one command; whether they grow no faster than the file."""
    seconds = [max(found.seconds - start.seconds, 0) for found in costs]
    ratio = seconds[0] / seconds[1] if len(costs) > 1 else 0
    note = costs[0].note
    is_ok = note == "limit" or (note == "" and ratio < MOST_GROWTH)
    cells = [
        name,
        " ".join(command[:1] + command[2:]),
        f"{4 * n:,}",
        *([""] * 3 + [f"{each:.2f}" for each in reversed(seconds)])[-3:],
        f"{ratio:.1f}" if ratio else "",
        f"{costs[0].peak:.0f}",
        f"{(costs[0].peak - start.peak) * (1 << 20) / (4 * n):,.0f}",
        note + ("" if is_ok else " GROWS"),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)
    return is_ok


HEAD = ("shape", "command", "4n", "CPU s, n", "2n", "4n", "4n / 2n", "MiB, 4n", "bytes a part", "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how the costs of every command grow with a file.")
    parser.add_argument("--times", type=int, default=1, help="measure files so many times larger (default: 1)")
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"some of: {', '.join(FILES)} (default: all)")
    options = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        build("tensors", 1, folder)
        starts = [cost(command, folder) for command in COMMANDS]
        results = [measured(name, FILES[name][0] * options.times, folder, starts) for name in options.shapes or FILES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
