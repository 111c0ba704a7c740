"""`ptzip diff` of a checkpoint and its slim version: `python -m tests.bench.diffing [--size 2100]`.

The yardsticks: `cat` of both files, and torch, which maps both and computes the same numbers of each pair in float64. All are
whole processes, in turn, in one run. Exit code 1 if the peak is missed, or where it grows with the file.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import Run, in_turn, measured, script, table, verdict

PEAK_MIB, GROWTH_MIB = 128, 16
SMALL = 300
"""Megabytes of the other file, whose peak is to be nearly the same."""

TORCH = """
import sys, torch
a, b = (torch.load(path, map_location="cpu", mmap=True, weights_only=True)["model"] for path in sys.argv[1:])
for name in a:
    old, new = a[name].double().reshape(-1), b[name].double().reshape(-1)
    error = (old - new).abs()
    print(name, error.max(), (error / old.abs())[old != 0].max(), torch.dot(old, new) / (old.norm() * new.norm()))
"""

DIFF = """
import sys
from ptzip.cli.main import main
sys.exit(0 if main(["diff", *sys.argv[1:]]) == 1 else 1)
"""
"""`ptzip diff`, whose exit code 1 is what is expected of files that differ."""


def inputs(megabytes: int, folder: Path) -> tuple[Path, Path]:
    """A checkpoint and its slim version."""
    large, slim = folder / f"{megabytes}.pt", folder / f"{megabytes}.slim.pt"
    measured(script("inputs.py", str(megabytes), large), folder)
    measured([sys.executable, "-m", "ptzip", "slim", "-q", large, "-o", slim], folder)
    return large, slim


def compared(files: tuple[Path, Path], folder: Path) -> Run:
    return measured([sys.executable, "-c", DIFF, *files], folder)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure `ptzip diff`.")
    parser.add_argument("--size", type=int, default=2100, help="megabytes (default: 2100)")
    parser.add_argument("--runs", type=int, default=5, help="rounds to measure (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as name:
        folder = Path(name)
        files, few = inputs(options.size, folder), inputs(SMALL, folder)
        rows = in_turn(
            {
                "ptzip diff": lambda: compared(files, folder),
                f"of {SMALL} MB": lambda: compared(few, folder),
                "cat": functools.partial(measured, ["sh", "-c", f"cat {files[0]} {files[1]} > /dev/null"], folder),
                "torch": functools.partial(measured, [sys.executable, "-c", TORCH, *files], folder),
            },
            options.runs,
        )
    print(table(rows))
    ours, small, _, torch = rows
    print(f"  torch takes {median(torch.walls) / median(ours.walls):.1f} times as long")
    met = verdict(f"peak {ours.peak:.0f} MiB, target {PEAK_MIB}", ours.peak <= PEAK_MIB)
    grown = ours.peak - small.peak
    return 0 if verdict(f"{grown:.0f} MiB more than for {SMALL} MB, target {GROWTH_MIB}", grown <= GROWTH_MIB) and met else 1


if __name__ == "__main__":
    sys.exit(main())
