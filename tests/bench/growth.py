"""The growth of CPU time and memory with the size of a file, for every command and for shapes that made some quadratic.

    python -m tests.bench.growth [--times K] [SHAPE...]

Each shape is built with 4n, 2n and n parts, and every command runs on it, all in one process for each shape that has imported
everything before. Only what takes longer than `SHORTEST` for 4n is measured again. `--times` makes n larger. A command that
says which limit is exceeded has not grown. Prints a table in Markdown; exits with 1 where a doubling costs more than
`MOST_GROWTH` times the CPU.
"""

import argparse
import contextlib
import gc
import multiprocessing
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ptzip.cli.main import main as run_ptzip
from tests.bench.shapes import FILES
from tests.every_command import reset_peak
from tests.mutation_run import peak

MOST_GROWTH = 2.6
SHORTEST = 0.3
"""Seconds of CPU; a ratio of less time says nothing."""

MOST_CPU = 60
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
slim IN -o OUT.pt --no-scan --no-sync -f --plain
convert IN -o OUT.safetensors --all --sidecar --no-sync -f
repair IN -o OUT.pt --no-sync -f
""".strip().splitlines()
]
FOR_BARE = 6
"""So many of them handle a bare pickle in another way than one in a zip."""


FILES_OF = {"IN": "in.pt", "OTHER": "other.pt", "OUT.pt": "out.pt", "OUT.safetensors": "out.safetensors"}


class Cost(NamedTuple):
    """CPU seconds of a command, how many MiB it made its process grow, and why they are no measure ("" if they are one)."""

    seconds: float
    mib: float
    note: str


class SlowError(BaseException):
    """A command took too much CPU."""


def give_up(*_: object) -> None:
    raise SlowError


def cost(command: list[str], folder: Path) -> Cost:
    """The cost of a command, whose output goes to a file."""
    words = [str(folder / FILES_OF[word]) if word in FILES_OF else word for word in command]
    note = ""
    with (folder / "output").open("w+", errors="replace") as output:
        gc.collect()
        reset_peak()
        start, before = time.process_time(), peak()
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                run_ptzip(words)
        except SlowError:
            note = "too slow"
        except Exception as error:
            note = type(error).__name__
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds, most = time.process_time() - start, peak()
        output.seek(0)
        if any("--limit" in line for line in output):
            note = "limit"
    return Cost(seconds, most - before, note)


def costs(name: str, n: int, commands: list[list[str]]) -> list[Cost]:
    """The costs of some commands for a shape of n parts. Run in a process of its own."""
    signal.signal(signal.SIGPROF, give_up)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "in.pt").write_bytes(FILES[name][1](n, 0))
        (folder / "other.pt").write_bytes(FILES[name][1](n, 1))
        return [cost(command, folder) for command in commands]


def measured(name: str, n: int) -> bool:
    """Print the costs of all commands for one shape; whether they grow no faster than the file."""
    found: dict[int, list[Cost]] = {at: [] for at in range(FOR_BARE if name.endswith("(bare)") else len(COMMANDS))}
    for parts in (4 * n, 2 * n, n):
        again = [at for at, some in found.items() if not some or some[0].seconds > SHORTEST]
        with multiprocessing.Pool(1) as pool:
            for at, one in zip(again, pool.apply(costs, (name, parts, [COMMANDS[at] for at in again])), strict=True):
                found[at].append(one)
    results = [row(name, n, COMMANDS[at], some) for at, some in found.items()]
    return all(results)


def row(name: str, n: int, command: list[str], found: list[Cost]) -> bool:
    """Print the costs of one command, that of most parts first in `found`; whether they grow no faster than the file."""
    note = found[0].note
    ratio = found[0].seconds / found[1].seconds if len(found) > 1 else 0
    is_ok = note == "limit" or (note == "" and ratio < MOST_GROWTH)
    cells = [
        name,
        " ".join(command[:1] + command[2:]),
        f"{4 * n:,}",
        *([""] * 3 + [f"{each.seconds:.2f}" for each in reversed(found)])[-3:],
        f"{ratio:.1f}" if ratio else "",
        f"{found[0].mib:.0f}",
        note + ("" if is_ok else " GROWS"),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)
    return is_ok


HEAD = ("shape", "command", "4n", "CPU s, n", "2n", "4n", "4n / 2n", "MiB, 4n", "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how the costs of every command grow with a file.")
    parser.add_argument("--times", type=int, default=1, help="measure files so many times larger (default: 1)")
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"some of: {', '.join(FILES)} (default: all)")
    options = parser.parse_args()
    costs("tensors", 1, COMMANDS)  # which imports what the commands need
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    results = [measured(name, FILES[name][0] * options.times) for name in options.shapes or FILES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
