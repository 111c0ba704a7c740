"""The peak of `ptzip repair` on a large file without its directory: `python -m tests.bench.repairing [--size 2100]`.

Exit code 1 if the target is missed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import measured, script, verdict

PEAK_MIB = 128
CUT = 2000
"""Bytes that are cut off: the end of the directory."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure `ptzip repair`.")
    parser.add_argument("--size", type=int, default=2100, help="megabytes (default: 2100)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as folder:
        path = Path(folder) / "large.pt"
        measured(script("inputs.py", str(options.size), path), Path(folder))
        os.truncate(path, path.stat().st_size - CUT)
        run = measured([sys.executable, "-m", "ptzip", "repair", path, "-o", Path(folder) / "repaired.pt"], Path(folder))
    print(f"ptzip repair of {options.size} MB: {run.wall:.1f} s")
    return 0 if verdict(f"peak {run.peak:.0f} MiB, target {PEAK_MIB}", run.peak <= PEAK_MIB) else 1


if __name__ == "__main__":
    sys.exit(main())
