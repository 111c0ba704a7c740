"""The cost of scanning: `ptzip scan` against `picklescan`, on one small file and on a zip of 2 GB with 50 storages;
`python -m tests.bench.scanning --tools FOLDER` (see `scanners`).

Needs ptzip installed. Exit code 1 if a target is missed.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import in_turn, measured, ratios, table, verdict
from tests.bench.scanners import SMALL, installed
from tests.cli.test_inspect import sparse
from tests.corpus import CORPUS

SMALL_RATIO, LARGE_RATIO = 1, 2
"""Of processor time on the small file, and of wall time on the large one."""

STORAGES, SIZE = 50, 40 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long scanning takes.")
    parser.add_argument("--tools", type=Path, default=Path(tempfile.gettempdir()) / "ptzip-scanners")
    parser.add_argument("--runs", type=int, default=11, help="rounds to measure, after one that is not (default: 11)")
    options = parser.parse_args()
    binaries, own = installed(options.tools), Path(sys.executable).parent / "ptzip"
    met = True
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "large.pt")
        sparse(large, STORAGES, SIZE)
        for path, most in ((CORPUS / "threats" / SMALL, SMALL_RATIO), (large, LARGE_RATIO)):
            commands: dict[str, list[str | Path]] = {
                "ptzip scan": [own, "scan", path],
                "picklescan": [binaries / "picklescan", "-p", path],
            }
            runs = {name: functools.partial(measured, command, Path(folder)) for name, command in commands.items()}
            in_turn(runs, 1)
            rows = in_turn(runs, options.runs)
            print(f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB\n{table(rows)}\n")
            found = median(ratios(rows[0].cpus, rows[1].cpus) if path != large else ratios(rows[0].walls, rows[1].walls))
            met &= verdict(f"{path.name}: {found:.2f} times the time of picklescan, target {most}", found <= most)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
