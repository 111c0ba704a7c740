"""A long run of the fuzzer: `python -m tests.bench.fuzzing --first 0 --count 1000000`; see `tests.fuzz.differences`.

Needs torch, numpy and joblib for their loaders; those that are missing are named. Prints each kind of difference with one short
input, and the counts. Exit code 1 if there is a difference, or a scan that takes too long or too much memory.
"""

import argparse
import sys
import time
from collections import Counter

from tests.fuzz.differences import Difference, Totals, differences, is_different, shortened
from tests.fuzz.inputs import made
from tests.fuzz.loaders import NEEDS
from tests.fuzz.sandbox import Sandbox, sandbox
from tests.fuzz.test_differences import MOST_CPU, MOST_MEMORY

EVERY = 50_000
"""Inputs between two lines about the progress."""


def show(found: Difference, box: Sandbox) -> None:
    short = shortened(found.data, lambda data: is_different(data, box))
    print(f"difference: {found.kind}\n  {short!r}\n  {box.resolved([short])[0]}", flush=True)


def summary(totals: Totals, seconds: float, kinds: Counter[str]) -> str:
    lines = (
        f"{totals.inputs:,} inputs in {seconds:,.0f} s ({totals.inputs / seconds:,.0f} each second)",
        f"verdicts: {dict(totals.verdicts)}; a loader resolves names in {totals.resolving:,}",
        f"differences: {kinds.total()} {dict(kinds)}",
        f"loaders killed: {totals.deaths}; not listed, though not clean: {dict(totals.unlisted)}",
        f"slowest scan: {totals.slowest:.3f} s, {len(totals.slowest_input):,} bytes; memory grew by {totals.memory:.0f} MiB",
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare scan with the real loaders on many inputs.")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with (default: 0)")
    parser.add_argument("--count", type=int, default=1_000_000, help="how many inputs (default: 1000000)")
    options = parser.parse_args()
    totals, kinds, started = Totals(), Counter[str](), time.monotonic()
    with sandbox() as box:
        missing = [name for name in NEEDS if not any(loader.startswith(name) for loader in box.loaders)]
        print(f"loaders: {', '.join(box.loaders)}" + (f"; missing: {', '.join(missing)}" if missing else ""), flush=True)
        for start in range(options.first, options.first + options.count, EVERY):
            for found in differences(map(made, range(start, min(start + EVERY, options.first + options.count))), box, totals):
                kinds[found.kind] += 1
                if kinds[found.kind] == 1:
                    show(found, box)
            print(summary(totals, time.monotonic() - started, kinds), flush=True)
    return int(bool(kinds) or totals.slowest > MOST_CPU or totals.memory > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
