"""Faults by hand: `python -m tests.bench.faults`, a table of what each kind leaves behind; then `slim -i` against a trainer.

Every call of every command fails once in every way (`tests.faults.sweep`), then a trainer replaces a checkpoint at a random
moment while `slim -i` works on it: its new version is never lost. Exit code 1 if a promise is broken.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ptzip import slim
from tests.cli.shell import environment
from tests.faults.sweep import KINDS, Faults, Run, cases, faults_in
from tests.small_checkpoints import save, training_records

OUTCOMES = OLD_SLIMMED, REFUSED, NEW_SLIMMED, LOST = "slimmed before", "refused", "slimmed after", "lost"
"""The trainer's version came after the run, during it, before it was read, or is gone."""

ALONE = 5
"""Runs without a trainer, of which the median is how long one takes."""


def table(folder: Path, step: int) -> bool:
    """Print a line for each kind of fault; returns whether every promise was kept."""
    faults, broken, total = Faults(folder), list[tuple[str, Run]](), 0
    commands = cases(save(folder / "in.pt").read_bytes())
    whole = {case.name: faults.run(case).files for case in commands}
    print(f"{'kind':22}{'runs':>6}{'input intact':>14}{'whole':>7}{'absent':>8}{'partial':>9}{'temporary':>11}{'broken':>8}")
    for kind in KINDS:
        runs = [run for case in commands for run in faults.sweep(case, kind, step)]
        found = [(what, run) for run in runs for what in faults_in(run, whole[run.case.name])]
        new = sum(run.files == whole[run.case.name] for run in runs)
        old = sum(run.files == run.case.there for run in runs)
        allowed = [{run.case.there["in.pt"], whole[run.case.name]["in.pt"]} for run in runs]
        intact = sum(run.files.get("in.pt") in one for run, one in zip(runs, allowed, strict=True))
        left = sum(run.temporary for run in runs)
        print(f"{kind:22}{len(runs):6}{intact:14}{new:7}{old:8}{len(runs) - new - old:9}{left:11}{len(found):8}", flush=True)
        broken, total = broken + found, total + len(runs)
    print(f"{total:,} runs")
    for what, run in broken:
        print(f"  {run.case.name}, {run.kind} at call {run.at} ({run.call}): {what}; exit code {run.code}")
    faults.close()
    return not broken


def slim_in_place(path: Path) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [sys.executable, "-m", "ptzip", "slim", "-i", "-q", path]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)


def race(folder: Path, runs: int) -> bool:
    """Replace a checkpoint at a random moment of `slim -i`; returns whether no version of the trainer was lost."""
    path, chance, counts = folder / "last.pt", random.Random(0), dict.fromkeys(OUTCOMES, 0)
    old, new = (save(folder / name, training_records(count=count)) for name, count in (("old.pt", 1 << 20), ("new.pt", 5000)))
    first, second = old.read_bytes(), new.read_bytes()
    slim(new, new, overwrite=True)
    times = list[float]()
    for _ in range(ALONE):
        path.write_bytes(first)
        started = time.monotonic()
        slim_in_place(path).wait()
        times.append(time.monotonic() - started)
    for _ in range(runs):
        path.write_bytes(first)
        with slim_in_place(path) as running:
            time.sleep(chance.uniform(0, 1.1 * sorted(times)[ALONE // 2]))
            (folder / "saving.pt").write_bytes(second)
            (folder / "saving.pt").replace(path)
            code = running.wait()
        left = path.read_bytes()
        counts[NEW_SLIMMED if left == new.read_bytes() else LOST if left != second else REFUSED if code else OLD_SLIMMED] += 1
    print(f"slim -i against a trainer, {runs} runs: {counts}")
    return not counts[LOST]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="let only every so manieth call fail")
    parser.add_argument("--races", type=int, default=200, help="runs against a trainer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        is_kept = table(Path(name), given.step)
        return 0 if race(Path(name), given.races) and is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
