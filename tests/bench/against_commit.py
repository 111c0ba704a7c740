"""Every read command and `slim`, side by side with another commit: `python -m tests.bench.against_commit CHECKOUT FILE`.

CHECKOUT is a folder with the other commit, such as a worktree. Each command runs in both trees in turn, as a whole process. A
ratio above 1 means that this tree is slower; on a busy machine the ratio of user + system time is more reliable. Exit code 1 if
a command takes more than `NOISE` times the user + system time.
"""

import argparse
import functools
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import in_turn, measured, ratios, verdict
from tests.corpus import ROOT

NOISE = 1.1

COMMANDS = (
    ["--help"],
    ["inspect", "FILE"],
    ["inspect", "--tensors", "FILE"],
    ["inspect", "--tree", "FILE"],
    ["scan", "-q", "FILE"],
    ["verify", "-q", "FILE"],
    ["slim", "-n", "-q", "FILE"],
    ["slim", "-q", "-f", "-o", "OUTPUT", "FILE"],
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the speed of two commits.")
    parser.add_argument("checkout", type=Path, help="a folder with the other commit")
    parser.add_argument("file", type=Path, help="a checkpoint that `verify` and `scan` find clean")
    parser.add_argument("--runs", type=int, default=7, help="rounds to measure, after one that is not (default: 7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as folder:
        paths = {"FILE": options.file.resolve(), "OUTPUT": Path(folder) / "out.pt"}
        met = [_compare([paths.get(word, word) for word in words], options, Path(folder)) for words in COMMANDS]
    return 0 if all(met) else 1


def _compare(words: list[str | Path], options: argparse.Namespace, folder: Path) -> bool:
    trees = {"this": ROOT, "other": options.checkout.resolve()}
    runs = {name: functools.partial(measured, _command(tree, words), folder) for name, tree in trees.items()}
    in_turn(runs, 1)
    this, other = in_turn(runs, options.runs)
    wall, cpu = median(ratios(this.walls, other.walls)), median(ratios(this.cpus, other.cpus))
    shown = " ".join(word.name if isinstance(word, Path) else word for word in words)
    milliseconds = median(this.walls) * 1e3
    return verdict(f"ptzip {shown}: {milliseconds:.0f} ms, {wall:.2f} by wall time, {cpu:.2f} by user + system", cpu <= NOISE)


def _command(tree: Path, words: list[str | Path]) -> list[str | Path]:
    program = f"import sys; sys.path.insert(0, {os.fspath(tree)!r}); from ptzip.__main__ import run; run()"
    return [sys.executable, "-P", "-c", program, *words]


if __name__ == "__main__":
    sys.exit(main())
