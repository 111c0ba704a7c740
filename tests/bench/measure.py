"""Whole processes, measured: wall time, user and system time, and the peak of resident memory (Linux).

The measuring process stays small: the kernel counts a child's peak from that of the process it was forked from, so whatever
needs torch or numpy runs in its own child.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Command = list[str | Path]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Run:
    """One process: seconds of wall time, seconds of user and system time, and its peak memory in MiB."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Row:
    """All runs of one command."""

    name: str
    runs: list[Run]

    @property
    def walls(self) -> list[float]:
        return [run.wall for run in self.runs]

    @property
    def cpus(self) -> list[float]:
        return [run.cpu for run in self.runs]

    @property
    def peak(self) -> float:
        """The highest of all runs, in MiB."""
        return max(run.peak for run in self.runs)


def environment() -> dict[str, str]:
    """The environment of this process, with this ptzip, and compiled modules cached as for an installed program."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT)}


def measured(command: Sequence[str | Path], folder: Path, code: int | None = 0) -> Run:
    """Run a command in `folder`; SystemExit if its exit code is not `code`, None for any."""
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if code is not None and child.returncode != code:
        sys.exit(f"exit code {child.returncode}: {' '.join(map(str, command))}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB_PER_MIB)


def script(name: str, *arguments: str | Path) -> Command:
    """The command that runs a script of this folder with this Python."""
    return [sys.executable, "-P", HERE / name, *arguments]


def in_turn(commands: Mapping[str, Callable[[], Run]], rounds: int) -> list[Row]:
    """Each command once a round (A B A B ...), so that whatever else the machine does hits all of them."""
    rows = [Row(name, []) for name in commands]
    for _ in range(rounds):
        for row, command in zip(rows, commands.values(), strict=True):
            row.runs.append(command())
    return rows


def table(rows: list[Row]) -> str:
    """One line a row: median, and lowest and highest in brackets."""
    lines = [f"{'':16}{'wall ms':>22}{'user + system ms':>22}{'peak MiB':>22}"]
    for row in rows:
        cells = [
            spread([seconds * 1e3 for seconds in row.walls]),
            spread([seconds * 1e3 for seconds in row.cpus]),
            spread([run.peak for run in row.runs]),
        ]
        lines.append(f"{row.name:16}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times longer `slow` took, round by round."""
    return [other / own for other, own in zip(slow, fast, strict=True)]


def verdict(what: str, met: bool) -> bool:
    """Print a target and whether it was met, and return that."""
    print(f"  {'met   ' if met else 'MISSED'} {what}")
    return met
