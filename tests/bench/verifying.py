"""`ptzip verify` against reading the file and computing its CRC: `python -m tests.bench.verifying [--size 2100]`.

The yardstick is the larger of two: `cat FILE > /dev/null`, and the CRC of the file spread over the cores by the same library.
All are whole processes, in turn, in one run. Exit code 1 if the target is missed.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import in_turn, measured, script, table, verdict

TARGET, PEAK_MIB = 1.3, 128

CRC = """
import concurrent.futures, os, sys
from zlib_ng.zlib_ng import crc32
path, step = sys.argv[1], 8 << 20
descriptor = os.open(path, os.O_RDONLY)
def work(at):
    crc = 0
    for place in range(at, at + step, 1 << 20):
        crc = crc32(os.pread(descriptor, 1 << 20, place), crc)
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(work, range(0, os.path.getsize(path), step)))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure `ptzip verify`.")
    parser.add_argument("--size", type=int, default=2100, help="megabytes (default: 2100)")
    parser.add_argument("--runs", type=int, default=5, help="rounds to measure, after one that is not (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as folder:
        path = Path(folder) / "large.pt"
        measured(script("inputs.py", str(options.size), path), Path(folder))
        commands: dict[str, list[str | Path]] = {
            "ptzip verify": [sys.executable, "-m", "ptzip", "verify", path],
            "cat": ["sh", "-c", f"cat {path} > /dev/null"],
            "crc32": [sys.executable, "-c", CRC, path],
        }
        rows = in_turn(
            {name: functools.partial(measured, words, Path(folder)) for name, words in commands.items()}, options.runs
        )
    print(table(rows))
    ours, *others = (median(row.walls) for row in rows)
    times = ours / max(others)
    met = verdict(f"ptzip verify {times:.2f} times the larger of the two, target {TARGET}", times <= TARGET)
    return 0 if verdict(f"peak {rows[0].peak:.0f} MiB, target {PEAK_MIB}", rows[0].peak <= PEAK_MIB) and met else 1


if __name__ == "__main__":
    sys.exit(main())
