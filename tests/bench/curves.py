"""The time of every command over three orders of magnitude: `python -m tests.bench.curves`.

Whole processes, on checkpoints of 100 to 100,000 tensors and of 10,000 to 10 million opcodes. Prints tables in Markdown: user
and system seconds, and microseconds for each part between the last two columns.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.commands import ptzip
from tests.bench.measure import Command, measured
from tests.bench.shapes import PICKLES, Shape, tensors, with_weights

MORE = ("--limit", "opcodes=40000000", "--limit", "paths=40000000")
"""Since 10 million opcodes exceed the default limits."""


def of_tensors(source: Path, other: Path, output: Path) -> dict[str, Command]:
    written = ("--no-sync", "-q", "-f", "-o", output)
    return {
        "scan": ptzip("scan", source),
        "inspect": ptzip("inspect", source),
        "verify": ptzip("verify", source),
        "diff": ptzip("diff", source, other),
        "slim": ptzip("slim", source, *written),
        "convert": ptzip("convert", source, *written[:-1], output.with_suffix(".safetensors")),
    }


def of_opcodes(source: Path, _: Path, output: Path) -> dict[str, Command]:
    return {
        "scan": ptzip("scan", source, *MORE),
        "inspect": ptzip("inspect", source, *MORE),
        "slim": ptzip("slim", source, "--no-sync", "-q", "-f", "-o", output, *MORE),
    }


CURVES: tuple[tuple[str, Shape, tuple[int, ...], Callable[[Path, Path, Path], dict[str, Command]]], ...] = (
    ("tensors", tensors, (100, 1_000, 10_000, 100_000), of_tensors),
    ("opcodes", with_weights(PICKLES["numbers"]), (10_000, 100_000, 1_000_000, 10_000_000), of_opcodes),
)


def curve(shape: Shape, sizes: tuple[int, ...], commands: Callable[[Path, Path, Path], dict[str, Command]]) -> Iterator[str]:
    """The rows of a table: each command, its seconds for each size, and microseconds a part."""
    seconds = dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as made:
        source, other, output = (Path(made) / name for name in ("in.pt", "other.pt", "out.pt"))
        for n in sizes:
            source.write_bytes(shape(n, 0))
            other.write_bytes(shape(n, 1))
            for name, command in commands(source, other, output).items():
                run = measured(command, Path(made), code=None)
                seconds.setdefault(name, []).append(run.cpu)
    for name, found in seconds.items():
        each = (found[-1] - found[-2]) / (sizes[-1] - sizes[-2]) * 1e6
        yield " | ".join([f"| {name}", *(f"{cpu:.2f} s" for cpu in found), f"{each:.1f} µs |"])


def main() -> int:
    for part, shape, sizes, commands in CURVES:
        print(f"\n| {part} | {' | '.join(f'{n:,}' for n in sizes)} | each |\n|{'---|' * (len(sizes) + 2)}")
        for row in curve(shape, sizes, commands):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
