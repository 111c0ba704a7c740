"""`ptzip slim` against the same recipe written with torch: `python -m tests.bench.slim [--size 57] [--without-fast]`.

Needs ptzip and torch installed. Both are measured as whole processes, in turn, in one run, on a plain dict of tensors, for
which torch does not need the classes of the model. On a busy machine trust the ratio of user and system time more. Inputs are
made first and deleted at the end; 2.1 GB needs 4 GB of disk. Exit code 1 if a target is missed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.measure import Row, Run, environment, in_turn, measured, ratios, script, table, verdict


@dataclass(frozen=True)
class Target:
    """How many times faster than torch, without the extra `fast` and with it."""

    plain: float
    fast: float


TARGETS = {57: Target(6, 6), 537: Target(3, 3), 2100: Target(1.7, 4)}
"""By the input's size in megabytes."""

PEAK_MIB = 64
GROWTH_MIB = 8
"""How much more memory a larger file may take than the smallest: two runs on one file differ by less than half of it."""

TORCH, PLAIN, FAST = "torch", "ptzip", "ptzip[fast]"

WITHOUT_FAST = """
import sys
sys.modules.update(numkong=None)
from ptzip.__main__ import run
run()
"""

Command = list[str | Path]


def main() -> int:
    options = _options()
    sizes = options.size or sorted(TARGETS)
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-", dir=options.folder) as folder:
        results = {size: _compare(size, options, Path(folder)) for size in sizes}
    met = [_judge(size, rows) for size, rows in results.items()]
    return 0 if all([*met, _judge_growth(results)]) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure `ptzip slim` against torch.")
    parser.add_argument("--size", type=int, action="append", choices=sorted(TARGETS), help="megabytes (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="rounds to measure, after one that is not (default: 5)")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: the system's temporary folder)")
    parser.add_argument("--python-fast", type=Path, default=Path(sys.executable), metavar="PY", help="Python that has ptzip")
    parser.add_argument("--without-fast", action="store_true", help="also run ptzip with numkong hidden")
    return parser.parse_args()


def _compare(size: int, options: argparse.Namespace, folder: Path) -> list[Row]:
    """Make the input of one size, run everything on it, and print the table."""
    source = folder / f"{size}.pt"
    measured(script("inputs.py", str(size), source), folder)
    outputs = {name: folder / f"{size}.{name}.pt" for name in (FAST, PLAIN, TORCH)}
    commands = {name: _fresh(command, outputs[name]) for name, command in _commands(source, outputs, options).items()}
    _warm_up(commands, outputs)
    rows = in_turn(commands, options.runs)
    print(f"\n{size} MB ({source.stat().st_size:,} bytes), {options.runs} rounds: median (lowest-highest)\n{table(rows)}")
    for path in (source, *outputs.values()):
        path.unlink(missing_ok=True)
    return rows


def _commands(source: Path, outputs: dict[str, Path], options: argparse.Namespace) -> dict[str, Command]:
    python: Path = options.python_fast
    program = python.parent / "ptzip"
    if not program.exists():
        sys.exit(f"there is no ptzip beside {python}: install it there")
    name = FAST if _has_fast(python) else PLAIN
    commands: dict[str, Command] = {name: [program, *_arguments(source, outputs[name])]}
    if options.without_fast:
        commands[PLAIN] = [python, "-P", "-c", WITHOUT_FAST, *_arguments(source, outputs[PLAIN])]
    return commands | {TORCH: script("torch_way.py", source, outputs[TORCH])}


def _arguments(source: Path, output: Path) -> Command:
    return ["slim", "-q", "-f", "-o", output, source]


def _has_fast(python: Path) -> bool:
    """Whether that Python has the extra `fast`."""
    return not subprocess.run([python, "-c", "import numkong"], capture_output=True, env=environment()).returncode


def _fresh(command: Command, output: Path) -> Callable[[], Run]:
    """The command, its output removed before: replacing a file costs time that is not the command's."""

    def run() -> Run:
        output.unlink(missing_ok=True)
        return measured(command, output.parent)

    return run


def _warm_up(commands: dict[str, Callable[[], Run]], outputs: dict[str, Path]) -> None:
    """One round that does not count: it compiles modules and fills the page cache, and its outputs are compared."""
    for run in commands.values():
        run()
    for name in commands:
        measured(script("equal.py", outputs[name], outputs[TORCH]), outputs[name].parent)


def _judge(size: int, rows: list[Row]) -> bool:
    """Print the ratios of one size, and whether they are what they should be."""
    print(f"\n{size} MB")
    torch = next(row for row in rows if row.name == TORCH)
    met = True
    for row in rows:
        if row is not torch:
            met &= _judge_row(row, torch, TARGETS[size])
    return met


def _judge_row(row: Row, torch: Row, target: Target) -> bool:
    times, wanted = ratios(torch.walls, row.walls), target.fast if row.name == FAST else target.plain
    each = " ".join(f"{ratio:.1f}" for ratio in times)
    busy = f"{median(ratios(torch.cpus, row.cpus)):.1f} by user + system time"
    faster = verdict(
        f"{row.name} {median(times):.1f} times faster, target {wanted:g} ({each}; {busy})", median(times) >= wanted
    )
    small = verdict(f"{row.name} peak {row.peak:.0f} MiB, target {PEAK_MIB}; torch {torch.peak:.0f}", row.peak <= PEAK_MIB)
    return faster and small


def _judge_growth(results: dict[int, list[Row]]) -> bool:
    """Whether the largest file takes as little memory as the smallest."""
    met = True
    for name in (FAST, PLAIN):
        peaks = [row.peak for rows in results.values() for row in rows if row.name == name]
        if len(peaks) > 1:
            listed = ", ".join(f"{peak:.0f}" for peak in peaks)
            met &= verdict(f"{name} memory does not grow with the file: {listed} MiB", max(peaks) - peaks[0] <= GROWTH_MIB)
    return met


if __name__ == "__main__":
    sys.exit(main())
