"""A long run of the fuzzer: `python -m tests.bench.fuzzing --first 0 --count 1000000`; see `tests.fuzz.differences`.

Needs torch, numpy and joblib for their loaders; those that are missing are named. Prints each kind of difference with one short
input, and the counts. Exit code 1 if there is a difference, or a scan that takes too long or too much memory.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.differences import Difference, Totals, differences, shortest
from tests.fuzz.inputs import made
from tests.fuzz.loaders import NEEDS
from tests.fuzz.sandbox import Sandbox, sandbox
from tests.fuzz.test_differences import MOST_CPU, MOST_MEMORY

EVERY = 50_000


def show(found: Difference, box: Sandbox) -> None:
    short = shortest(found, box)
    print(f"difference: {found.kind}\n  {short!r}\n  {box.resolved([short])[0]}", flush=True)


def chunks(corpus: Path | None, first: int, count: int) -> Iterator[Iterable[bytes]]:
    """Inputs between two lines about the progress."""
    if corpus is not None:
        yield (path.read_bytes() for path in sorted(corpus.iterdir()))
        return
    for start in range(first, first + count, EVERY):
        yield map(made, range(start, min(start + EVERY, first + count)))


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
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to try instead")
    options = parser.parse_args()
    totals, kinds, started = Totals(), Counter[str](), time.monotonic()
    with sandbox() as box:
        missing = [name for name in NEEDS if not any(loader.startswith(name) for loader in box.loaders)]
        print(f"loaders: {', '.join(box.loaders)}" + (f"; missing: {', '.join(missing)}" if missing else ""), flush=True)
        for inputs in chunks(options.corpus, options.first, options.count):
            for found in differences(inputs, box, totals):
                kinds[found.kind] += 1
                if kinds[found.kind] == 1:
                    show(found, box)
            print(summary(totals, time.monotonic() - started, kinds), flush=True)
    return int(bool(kinds) or totals.slowest > MOST_CPU or totals.memory > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
