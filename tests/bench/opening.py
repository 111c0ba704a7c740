"""The cost of reading: `ptzip inspect FILE` against `import torch`, and a pickle of a million opcodes against
`pickletools.genops`, which walks it and keeps nothing; `python -m tests.bench.opening FILE`.

FILE is a checkpoint of about 57 MB. Needs ptzip and torch installed. Exit code 1 if a target is missed.
"""

import argparse
import functools
import pickle
import pickletools
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ptzip.pickling.reader import read_pickle
from tests.bench.measure import in_turn, measured, ratios, table, verdict

FASTER, PEAK_MIB = 6, 64
"""`inspect` is to take at most a sixth of the time of `import torch`, and this much memory."""

SLOWER, PICKLE_PEAK_MIB = 4, 1024
"""How many times longer than genops a pickle may take to read, and how much memory."""

ROWS = 64_000
"""Rows of the pickles below: about a million opcodes."""


def pickles() -> dict[str, bytes]:
    rows = [{"a": number, "b": [number, str(number)], "c": (number,)} for number in range(ROWS)]
    weights: dict[str, object] = {f"layer.{number}.weight": (f"{number}", (3, 3), (3, 1), False, []) for number in range(ROWS)}
    return {
        "protocol 2": pickle.dumps(rows, 2),
        "protocol 4": pickle.dumps(rows, 4),
        "protocol 0": pickle.dumps(rows, 0),
        "like a state dict": pickle.dumps(weights, 2),
    }


def seconds(work: Callable[[], object]) -> float:
    """Seconds that some work takes, without the release of its result."""
    started = time.perf_counter()
    kept = work()
    took = time.perf_counter() - started
    del kept
    return took


def walked(data: bytes) -> int:
    return sum(1 for _ in pickletools.genops(data))


def compare_pickles() -> bool:
    met = True
    for name, data in pickles().items():
        count = walked(data)
        times = [(seconds(lambda: walked(data)), seconds(lambda: read_pickle(data))) for _ in range(3)]  # noqa: B023
        ratio = median(own / other for other, own in times)
        label = f"{name}, {count:,} opcodes: {ratio:.1f} times as long as genops, target {SLOWER}"
        met &= verdict(label, ratio <= SLOWER)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return met & verdict(f"peak {peak:.0f} MiB, target {PICKLE_PEAK_MIB}", peak <= PICKLE_PEAK_MIB)


def compare_inspect(path: Path, rounds: int) -> bool:
    python = Path(sys.executable)
    commands: dict[str, list[str | Path]] = {
        "ptzip inspect": [python.parent / "ptzip", "inspect", path],
        "import torch": [python, "-P", "-c", "import torch"],
    }
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: functools.partial(measured, command, Path(folder)) for name, command in commands.items()}
        in_turn(runs, 1)
        own, torch = in_turn(runs, rounds)
    print(f"{rounds} rounds: median (lowest-highest)\n{table([own, torch])}\n")
    ratio = median(ratios(torch.walls, own.walls))
    met = verdict(f"ptzip inspect {ratio:.1f} times faster, target {FASTER}", ratio >= FASTER)
    return met & verdict(f"ptzip inspect peak {own.peak:.0f} MiB, target {PEAK_MIB}", own.peak <= PEAK_MIB)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long opening takes.")
    parser.add_argument("file", type=Path, help="a checkpoint of about 57 MB")
    parser.add_argument("--runs", type=int, default=7, help="rounds to measure, after one that is not (default: 7)")
    options = parser.parse_args()
    met = compare_inspect(options.file.resolve(), options.runs)
    return 0 if met & compare_pickles() else 1


if __name__ == "__main__":
    sys.exit(main())
