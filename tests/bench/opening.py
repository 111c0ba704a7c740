"""The cost of reading a pickle of a million opcodes, against `pickletools.genops`, which walks it and keeps nothing:
`python -m tests.bench.opening`. Exit code 1 if a target is missed.
"""

import pickle
import pickletools
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

from ptzip.pickling.reader import read_pickle
from tests.bench.measure import verdict

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


if __name__ == "__main__":
    sys.exit(0 if compare_pickles() else 1)
