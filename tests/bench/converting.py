"""`ptzip convert` against torch and the safetensors library: `python -m tests.bench.converting [--size 2100]`.

A checkpoint to safetensors, to npz and to a state dict, and safetensors back; beside each torch, which maps the file and writes
with the library. All are whole processes, in turn, in one run. Exit code 1 if a peak is missed.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import in_turn, measured, script, table, verdict

PEAK_MIB = 128

TORCH = """
import sys, torch
from safetensors.torch import load_file, save_file
source, target = sys.argv[1:]
def flat(value, name):
    if isinstance(value, torch.Tensor):
        yield name, value.detach().clone()
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from flat(item, f"{name}.{key}" if name else str(key))
found = load_file(source) if source.endswith(".safetensors") else dict(flat(torch.load(source, mmap=True), ""))
save_file(found, target) if target.endswith(".safetensors") else torch.save(found, target)
"""

WAYS = (("large.pt", "x.safetensors"), ("large.pt", "x.npz"), ("large.pt", "x.pt"), ("x.safetensors", "y.pt"))
"""From and to."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure `ptzip convert`.")
    parser.add_argument("--size", type=int, default=2100, help="megabytes (default: 2100)")
    parser.add_argument("--runs", type=int, default=3, help="rounds to measure (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as name:
        folder = Path(name)
        measured(script("inputs.py", str(options.size), folder / "large.pt"), folder)
        peaks = [_way(folder, source, target, options.runs) for source, target in WAYS]
    return 0 if verdict(f"peak {max(peaks):.0f} MiB, target {PEAK_MIB}", max(peaks) <= PEAK_MIB) else 1


def _way(folder: Path, source: str, target: str, runs: int) -> float:
    """Measure one conversion; the peak of ptzip in MiB."""
    ours: list[str | Path] = [sys.executable, "-m", "ptzip", "convert", folder / source, "-f", "-o", folder / target]
    commands: dict[str, list[str | Path]] = {f"ptzip: {source} -> {target}": ours}
    if not target.endswith(".npz"):
        commands["torch"] = [sys.executable, "-c", TORCH, folder / source, folder / f"torch-{target}"]
    rows = in_turn({name: functools.partial(measured, words, folder) for name, words in commands.items()}, runs)
    print(table(rows))
    if len(rows) > 1:
        print(f"{median(rows[1].walls) / median(rows[0].walls):.1f} times faster")
    (folder / f"torch-{target}").unlink(missing_ok=True)
    return rows[0].peak


if __name__ == "__main__":
    sys.exit(main())
