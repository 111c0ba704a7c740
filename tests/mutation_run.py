"""Opens, inspects, loads and slims mutated files in a separate process: `python -m tests.mutation_run KIND COUNT FOLDER`.

Prints one line of JSON: how many files could still be slimmed, the seconds for the slowest file, and the peak memory in MiB.
"""

import contextlib
import io
import json
import random
import resource
import sys
import time
from pathlib import Path

import ptzip
from ptzip.cli.main import main
from ptzip.pickling.nodes import walk
from tests.mutations import KINDS


def look(path: Path) -> None:
    """Read everything of a checkpoint but its values."""
    with ptzip.open(path) as checkpoint:
        _ = checkpoint.top_level_keys, checkpoint.anomalies, list(walk(checkpoint.root)), checkpoint.storages
        checkpoint.main.check_storages()


def read_values(path: Path) -> None:
    """Read all values of a checkpoint that can be read."""
    with ptzip.open(path) as checkpoint:
        for tensor in checkpoint.tensors().values():
            with contextlib.suppress(ptzip.PtzipError):
                tensor.numpy()
    ptzip.load(path, unknown="keep")


VIEWS: tuple[tuple[str, ...], ...] = (
    (),
    ("--tensors",),
    ("--tree",),
    ("--records",),
    ("--opcodes",),
    ("--opcodes", "--stack", "--all"),
    ("--json",),
)


def inspect(path: Path, *flags: str) -> int:
    """The exit code of `ptzip inspect`; its output is discarded."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main(["inspect", str(path), *flags])


def survive(data: bytes, folder: Path, recipe: str) -> bool:
    """Open and slim a file, and return whether that worked. Only PtzipError and OSError may be raised."""
    path, out = folder / "in.pt", folder / "out" / "slim.pt"
    path.write_bytes(data)
    with contextlib.suppress(ptzip.PtzipError, OSError):
        look(path)
    with contextlib.suppress(ptzip.PtzipError, OSError):
        read_values(path)
    assert inspect(path, *VIEWS[len(data) % len(VIEWS)]) in (0, 2)
    try:
        report = ptzip.slim(path, out, recipe=recipe)
    except (ptzip.PtzipError, OSError):
        assert not list(out.parent.iterdir())
        return False
    if report.output:
        look(out)
        out.unlink()
    return True


def peak() -> float:
    """The peak memory of this process in MiB. On Linux `ru_maxrss` starts with that of the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


def tried(kind: str, count: int, folder: Path) -> dict[str, float]:
    """The results of the first `count` files of a kind of mutation."""
    worked, slowest = 0, 0.0
    for index in range(count):
        chance = random.Random(f"{kind} {index}")
        data, recipe = KINDS[kind](chance), chance.choice(("auto", "basic"))
        started = time.perf_counter()
        worked += survive(data, folder, recipe)
        slowest = max(slowest, time.perf_counter() - started)
    return {"worked": worked, "slowest": slowest, "peak": peak()}


if __name__ == "__main__":
    kind, count, folder = sys.argv[1:]
    print(json.dumps(tried(kind, int(count), Path(folder))))
