"""All commands, side by side with torch, other tools, and `cat` or `cp` as the limit: `python -m tests.bench`.

Prints a table for each command, as the README has them. All are whole processes, in turn, after one round that does not count;
the output is removed before each run. Takes up to ten minutes and 5 GB of the disk. On a busy machine, `--cpu` compares user +
system time instead. Exit code 1 if a target is missed.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.commands import FAST, PLAIN, Target, Task, ptzip, starts, tasks
from tests.bench.measure import Row, Run, in_turn, measured, ratios, script, verdict

SIZES = (57, 537, 2100)
"""Megabytes."""

PACKAGES = ("numpy", "numkong", "torch", "safetensors")


def main() -> int:
    options = _options()
    _print_machine(options)
    bench = Bench(options)
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-", dir=options.folder) as name:
        folder = Path(name)
        output = folder / "out.pt"
        bench.run(starts(_made(0, folder), output), 0, folder / "0.pt", output)
        for size in options.size or SIZES:
            source = _made(size, folder)
            slim = source.with_suffix(".slim.pt")
            measured(ptzip("slim", "-q", source, "-o", slim), folder)
            for task in tasks(source, slim, output, options.tools):
                bench.run(task, size, source, output)
            source.unlink()
            slim.unlink()
    for title, rows in bench.found.items():
        print(f"\n{title}\n\n{_table(rows, bench.seconds)}")
    return 0 if all(bench.met) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure all commands.")
    parser.add_argument("--size", type=int, action="append", help="megabytes of a checkpoint (default: 57, 537 and 2100)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds to measure, fewer of what takes long (default: 7)")
    parser.add_argument("--folder", type=Path, help="where files are made (default: the system's temporary folder)")
    parser.add_argument("--tools", type=Path, default=Path(tempfile.gettempdir()) / "ptzip-scanners", help="see `scanners`")
    parser.add_argument("--cpu", action="store_true", help="show and compare user + system time")
    parser.add_argument("--cold", action="store_true", help="read from the disk: drop the inputs from the page cache")
    return parser.parse_args()


def _print_machine(options: argparse.Namespace) -> None:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in info if line.startswith("model name")), platform.machine())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    state = "not in the page cache" if options.cold else "in the page cache"
    print(f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, {versions}")
    print(f"inputs {state}, outputs removed before each run, load average {os.getloadavg()[0]:.1f}", flush=True)


def _made(size: int, folder: Path) -> Path:
    path = folder / f"{size}.pt"
    measured(script("inputs.py", str(size), path), folder)
    return path


class Bench:
    """Runs tasks; `found` are their rows by name and size, `met` whether each target was."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.found = dict[str, dict[int, list[Row]]]()
        self.met = list[bool]()

    def seconds(self, row: Row) -> list[float]:
        return row.cpus if self.options.cpu else row.walls

    def run(self, task: Task, size: int, source: Path, output: Path) -> None:
        """Measure a task on a checkpoint of some size, and judge it."""
        if task.cut:
            os.truncate(source, source.stat().st_size - task.cut)
        commands = {name: self._fresh(task, name, source, output) for name in task.commands}
        in_turn(commands, 1)
        rows = in_turn(commands, min(task.rounds or self.options.rounds, self.options.rounds))
        _outputs(output)
        self.found.setdefault(task.name, {})[size] = rows
        print(f"{task.name}, {size} MB", flush=True)
        self.met += [self._is_met(target, rows) for target in task.targets if target.megabytes == size]
        if peaks := [row.peak for row in rows if row.name in (PLAIN, FAST)]:
            self.met.append(verdict(f"peak {max(peaks):.0f} MiB, target {task.peak:.0f}", max(peaks) <= task.peak))

    def _fresh(self, task: Task, name: str, source: Path, output: Path) -> Callable[[], Run]:
        """A command, its outputs removed before: replacing a file costs time that is not the command's."""

        def run() -> Run:
            _outputs(output)
            if self.options.cold:
                _drop(source)
            return measured(task.commands[name], output.parent, task.code if name in (PLAIN, FAST) else 0)

        return run

    def _is_met(self, target: Target, rows: list[Row]) -> bool:
        named = {row.name: self.seconds(row) for row in rows}
        own = [seconds - target.plus for seconds in named[target.row]]
        times = median(ratios(own, named[target.other]))
        plus = f" + {target.plus * 1e3:.0f} ms" if target.plus else ""
        text = f"{target.row}: {times:.2f} times {target.other}{plus}, target {target.times:.2f}"
        return verdict(text, times <= target.times)


def _outputs(output: Path) -> None:
    """Remove what a command wrote."""
    for path in (output, output.with_suffix(".safetensors")):
        path.unlink(missing_ok=True)


def _drop(path: Path) -> None:
    """Let the page cache forget a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _table(found: dict[int, list[Row]], seconds: Callable[[Row], list[float]]) -> str:
    """A table in Markdown: seconds and peak; of others also how many times as long as each row of ptzip they took."""
    sizes = list(found)
    lines = [
        "| | " + " | ".join(f"{size} MB" if size else "small file" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for index, row in enumerate(found[sizes[0]]):
        lines.append(f"| {row.name} | " + " | ".join(_cell(found[size], index, seconds) for size in sizes) + " |")
    return "\n".join(lines)


def _cell(rows: list[Row], index: int, seconds: Callable[[Row], list[float]]) -> str:
    row = rows[index]
    text = f"{median(seconds(row)):.3f} s, {row.peak:.0f} MiB"
    own = [one for one in rows if one.name in (PLAIN, FAST)]
    if not own or row in own:
        return text
    return text + " (" + ", ".join(f"{median(ratios(seconds(row), seconds(one))):.2f}" for one in own) + ")"


if __name__ == "__main__":
    sys.exit(main())
