"""The start-up time: `ptzip --help` against Python alone and against `import torch`; `python -m tests.bench.startup`.

Needs ptzip and torch installed. Exit code 1 if the target is missed.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import in_turn, measured, table, verdict

TARGET_MS = 60
"""How much longer than Python alone `ptzip --help` may take."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long `ptzip --help` takes.")
    parser.add_argument("--runs", type=int, default=11, help="rounds to measure, after one that is not (default: 11)")
    options = parser.parse_args()
    python = Path(sys.executable)
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [python, "-c", "pass"],
        "import ptzip": [python, "-P", "-c", "import ptzip"],
        "ptzip --help": [python.parent / "ptzip", "--help"],
        "import torch": [python, "-P", "-c", "import torch"],
    }
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: functools.partial(measured, command, Path(folder)) for name, command in commands.items()}
        in_turn(runs, 1)
        rows = in_turn(runs, options.runs)
    print(f"{options.runs} rounds: median (lowest-highest)\n{table(rows)}\n")
    bare, _, help_text, _ = rows
    more = median((own - other) * 1e3 for own, other in zip(help_text.walls, bare.walls, strict=True))
    return (
        0 if verdict(f"ptzip --help takes {more:.0f} ms more than python -c pass, target {TARGET_MS}", more <= TARGET_MS) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
