"""What `python -m tests.bench` measures: for each command of ptzip, the same task done by others, and the limit of the machine.

The names of the rows begin with who does it; `PLAIN` is ptzip without the extra `fast`, `FAST` with it.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import Command, script

PLAIN, FAST, TORCH, PICKLESCAN = "ptzip", "ptzip[fast]", "torch", "picklescan"

RUN = "from ptzip.__main__ import run; run()"
WITHOUT_FAST = f"import sys; sys.modules.update(numkong=None); {RUN}"

INSPECT = """
import sys, torch
for name, tensor in torch.load(sys.argv[1], mmap=True)["model"].items():
    print(name, tensor.dtype, tuple(tensor.shape))
"""
CONVERT = """
import sys, torch
from safetensors.torch import save_file
def flat(value, name):
    if isinstance(value, torch.Tensor):
        yield name, value.detach().clone()
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from flat(item, f"{name}.{key}" if name else str(key))
save_file(dict(flat(torch.load(sys.argv[1], mmap=True), "")), sys.argv[2])
"""
DIFF = """
import sys, torch
a, b = (torch.load(path, map_location="cpu", mmap=True, weights_only=True)["model"] for path in sys.argv[1:])
for name in a:
    old, new = a[name].double().reshape(-1), b[name].double().reshape(-1)
    error = (old - new).abs()
    print(name, error.max(), (error / old.abs())[old != 0].max(), torch.dot(old, new) / (old.norm() * new.norm()))
"""
VERIFY = "import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip())"


class Target(NamedTuple):
    """`row` takes at most `times` as long as `other`, and `plus` seconds, for files of one size."""

    megabytes: int
    row: str
    other: str
    times: float
    plus: float = 0


class Task(NamedTuple):
    """One command of ptzip, and the commands that it is compared with, by row.

    `code` is the exit code that ptzip is to have, `peak` the most memory it may take, in MiB. Each command runs `rounds` times
    if not as often as asked for, and `cut` bytes at the end of the checkpoint are removed before.
    """

    name: str
    commands: dict[str, Command]
    peak: float = 96
    targets: tuple[Target, ...] = ()
    rounds: int | None = None
    code: int = 0
    cut: int = 0


def ptzip(*words: str | Path, program: str = RUN) -> Command:
    return [sys.executable, "-P", "-c", program, *words]


def both(*words: str | Path) -> dict[str, Command]:
    """ptzip without the extra and with it."""
    return {PLAIN: ptzip(*words, program=WITHOUT_FAST), FAST: ptzip(*words)}


def tasks(source: Path, slim: Path, output: Path, tools: Path) -> list[Task]:
    """Everything that is measured on one checkpoint; `slim` is its slim version, `output` is removed before each run.

    Nothing waits for the disk, as torch and `cp` do not. The last task cuts the checkpoint off.
    """
    python = [sys.executable, "-P", "-c"]
    shrink: Command = ["slim", "-q", "--no-sync", source, "-o", output]
    safetensors, peer = output.with_suffix(".safetensors"), tools / "bin" / PICKLESCAN
    scanned: dict[str, Command] = {PICKLESCAN: [peer, "-p", source]} if peer.exists() else {}
    return [
        Task(
            "slim",
            both(*shrink) | {TORCH: script("torch_way.py", source, output), "cp": ["cp", slim, output]},
            peak=64,
            targets=(
                *(Target(size, PLAIN, TORCH, 1 / faster) for size, faster in ((537, 4.5), (2100, 3.5))),
                *(Target(size, FAST, TORCH, 1 / faster) for size, faster in ((57, 9), (537, 7), (2100, 6))),
                Target(2100, FAST, "cp", 2.5, plus=0.15),
            ),
        ),
        Task("slim --check", both(*shrink, "--check"), rounds=3),
        Task("inspect", {PLAIN: ptzip("inspect", source), TORCH: [*python, INSPECT, source]}),
        Task("scan", {PLAIN: ptzip("scan", source), **scanned}),
        Task(
            "verify",
            {PLAIN: ptzip("verify", source), "zipfile": [*python, VERIFY, source], "cat": _cat(source)},
            targets=(Target(2100, PLAIN, "cat", 1.3),),
        ),
        Task(
            "diff with the slim version",
            {**both("diff", source, slim), TORCH: [*python, DIFF, source, slim], "cat": _cat(source, slim)},
            rounds=3,
            code=1,
        ),
        Task(
            "convert to safetensors",
            {
                PLAIN: ptzip("convert", "-q", "--no-sync", source, "-o", safetensors),
                TORCH: [*python, CONVERT, source, safetensors],
                "cp": ["cp", source, safetensors],
            },
            targets=(Target(2100, PLAIN, "cp", 2),),
            rounds=3,
        ),
        Task(
            "repair without the directory of the zip",
            {PLAIN: ptzip("repair", "-q", "--no-sync", source, "-o", output), "cp": ["cp", source, output]},
            rounds=3,
            cut=2000,
        ),
    ]


def starts(small: Path, output: Path) -> Task:
    """The time before the work begins, of files that hold next to nothing."""
    python = [sys.executable, "-P", "-c"]
    return Task(
        "start",
        {
            "python": [*python, "pass"],
            "import numpy": [*python, "import numpy"],
            "import torch": [*python, "import torch"],
            "--help": ptzip("--help"),
            **{command: ptzip(command, small) for command in ("inspect", "scan", "verify")},
            "slim": ptzip("slim", "-q", "--no-sync", small, "-o", output),
        },
        targets=(Target(0, "slim", "import numpy", 1, plus=0.03),),
    )


def _cat(*paths: Path) -> Command:
    return ["sh", "-c", f"cat {' '.join(map(str, paths))} > /dev/null"]
