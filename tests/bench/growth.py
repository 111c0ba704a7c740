"""The growth of CPU time and memory with the size of a file, for shapes of pickles that made some command quadratic.

    python -m tests.bench.growth [SHAPE...]

Each shape is built at n, 2n and 4n, and each command runs on each in its own process. A command that says which limit is
exceeded has not grown. Prints a table; exits with 1 where a doubling costs more than `MOST_GROWTH` times the CPU, less the time
of the start of Python.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

MOST_GROWTH = 2.6
SHORTEST = 0.4
"""Seconds of CPU beyond the start; a ratio of less time says nothing."""

COMMANDS = (("scan",), ("inspect",), ("inspect", "--tree"), ("verify",), ("slim", "--dry-run"))


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def listed(item: bytes, before: bytes = b"") -> Callable[[int], bytes]:
    """A list of one item n times, after a value that goes to slot 0 of the memo."""
    return lambda n: (before + b"q\x000" if before else b"") + b"](" + item * n + b"e"


def numbered(item: Callable[[int], bytes], start: bytes, end: bytes) -> Callable[[int], bytes]:
    return lambda n: start + b"".join(map(item, range(n))) + end


NAME, ORDERED = b"cpkg\nName\n", b"ccollections\nOrderedDict\n"
SHARED_STATE = b"}q\x01(" + b"".join(text(f"k{i}") + b"N" for i in range(1000)) + b"u0"

SHAPES: dict[str, Callable[[int], bytes]] = {
    "numbers": listed(b"K\x01"),
    "texts": numbered(lambda i: text(f"word {i}"), b"](", b"e"),
    "tuples": listed(b"NN\x86"),
    "empty lists": listed(b"]"),
    "appends": lambda n: b"]" + b"Na" * n,
    "dict": numbered(lambda i: text(f"key{i}") + b"K\x01", b"}(", b"u"),
    "set items": numbered(lambda i: text(f"key{i}") + b"K\x01s", b"}", b""),
    "nested lists": lambda n: b"]" * n + b"a" * (n - 1),
    "nested tuples": lambda n: b"N" + b"\x85" * n,
    "nested calls": lambda n: b"K\x01" + b")\x81" * n,
    "computed calls": lambda n: b"N)R0" * n + b"N",
    "names": numbered(lambda i: b"cpkg%d\nName\n" % i, b"](", b"e"),
    "one unknown call": listed(b"h\x00)R", NAME),
    "unknown calls": numbered(lambda i: b"cpkg%d\nName\n)R" % i, b"](", b"e"),
    "instances": listed(b"(ipkg\nName\n"),
    "shared arguments": lambda n: ORDERED + b"q\x000](" + b"K\x01K\x02\x86" * n + b"e\x85q\x010](" + b"h\x00h\x01R" * n + b"e",
    "shared state": lambda n: SHARED_STATE + b"cargparse\nNamespace\nq\x000](" + b"h\x00)\x81h\x01b" * n + b"e",
    "own states": listed(b"h\x00)\x81}" + text("a") + b"Nsb", b"cargparse\nNamespace\n"),
    "memo": numbered(lambda i: b"Nr" + i.to_bytes(4, "little"), b"](", b"e"),
    "memo of text": numbered(lambda i: b"Np%d\n0" % i, b"", b"N"),
    "late steps": lambda n: b"]q\x00" + b"h\x00Na0" * n,
    "persistent ids": numbered(lambda i: text(f"id {i}") + b"Q", b"](", b"e"),
    "detours": listed(b"(N1h\x00", b"]"),
    "long numbers": listed(b"\x8a\x09" + b"\1" * 9),
    "base64 texts": numbered(lambda i: text(f"gAJ9cQ{i:010d}Aulkd2hhdGV2ZXI="), b"](", b"e"),
}
"""The value of a pickle of about n parts."""


def cost(command: tuple[str, ...], path: str) -> tuple[float, int, str]:
    """CPU seconds, peak MiB and the last line of a command in its own process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "ptzip", *command, path], capture_output=True, text=True, errors="replace", check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, after.ru_maxrss >> 10, done.stdout + done.stderr


def row(name: str, command: tuple[str, ...], folder: Path, n: int, start: float) -> bool:
    """Print the costs of a command for one shape; whether they grow no faster than the file."""
    costs = list[float]()
    notes = list[str]()
    for factor in (1, 2, 4):
        path = folder / "value.pkl"
        path.write_bytes(b"\x80\x02" + SHAPES[name](n * factor) + b".")
        seconds, _, output = cost(command, os.fspath(path))
        costs.append(seconds - start)
        notes.append("limit" if "--limit" in output else "")
    ratios = [b / a for a, b, note in zip(costs, costs[1:], notes[1:], strict=False) if a > SHORTEST and not note]
    is_ok = all(ratio < MOST_GROWTH for ratio in ratios)
    shown = "  ".join(f"{seconds:6.2f} {note:5}" for seconds, note in zip(costs, notes, strict=True))
    print(f"{name:18} {' '.join(command):15} {shown}  {'' if is_ok else 'GROWS'}", flush=True)
    return is_ok


def main(names: list[str]) -> int:
    n = int(os.environ.get("GROWTH_N", "50000"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "none.pkl").write_bytes(b"\x80\x02N.")
        starts = {command: cost(command, os.fspath(folder / "none.pkl"))[0] for command in COMMANDS}
        results = [
            row(name, command, folder, n, starts[command])
            for name in SHAPES
            if not names or name in names
            for command in COMMANDS
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
