"""The costs of the largest files that the default limits admit, in every command.

    python -m tests.bench.limits [--command WORD] [SHAPE...]

Each shape is built as large as the limits allow, and each command runs on it in a process of its own. A command that says which
limit is exceeded keeps them. Prints a table in Markdown; exits with 1 where a command takes `MOST_MIB` or `MOST_CPU`, or
fails in another way.
"""

import argparse
import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ptzip.limits import DEFAULT_LIMITS, SCAN_LIMITS
from ptzip.pickling.machine import Machine
from ptzip.pickling.reader import traced
from tests.bench.shapes import FILES, PICKLES, Shape, bare, listed, numbered, with_weights, zipped

MOST_MIB, MOST_CPU = 1024, 60
"""What no file may take, with the default limits. CPU in seconds."""

MORE: dict[str, Shape] = {
    "big tuples": lambda n, _: b"](" + (b"(" + b"K\1" * 1000 + b"t") * (n // 1000) + b"e",
    "one tuple": lambda n, _: b"(" + b"K\1" * n + b"t",
    "floats": listed(b"G" + bytes(8)),
    "pairs in tuples": lambda n, _: b"(" + b"K\1K\2\x86" * n + b"t",
    "texts in tuples": numbered(lambda i: b"X\x04\0\0\0%04x\x85" % (i % 65536), b"(", b"t"),
    "lists in tuples": lambda n, _: b"(" + b"]" * n + b"t",
    "discarded numbers": lambda n, _: b"N0" * n + b"N",
    "discarded lists": lambda n, _: b"]K\1a0" * n + b"N",
    "memo of tuples": numbered(lambda i: b"N\x85r" + i.to_bytes(4, "little"), b"(", b"t"),
    "fetched": lambda n, _: b"Nq\0" + b"(" + b"h\0" * n + b"t",
    "marks": lambda n, _: b"(" * n + b"t" * n,
    "nested pairs": lambda n, _: b"N" + b"N\x86" * n,
    "nested tuples of eight": lambda n, _: b"(NNNNNNN" * n + b"N" + b"t" * n,
    "keys that are tuples": numbered(lambda i: b"J" + i.to_bytes(4, "little") + b"\x85N", b"}(", b"u"),
    "sets": lambda n, _: b"(" + b"\x8f" * n + b"t",
}


def records(n: int, _: int) -> bytes:
    """A zip of so many entries."""
    return zipped([("a/data.pkl", b"\x80\x02N."), ("a/version", b"3\n"), *((f"a/x/{at}", b"") for at in range(n - 2))])


def deflated(n: int, _: int) -> bytes:
    """A pickle of n bytes, which are compressed."""
    data = b"\x80\x02B" + n.to_bytes(4, "little") + bytes(n) + b"."
    return zipped([("a/data.pkl", data), ("a/version", b"3\n")], zipfile.ZIP_DEFLATED)


def spent(data: bytes) -> tuple[int, int]:
    """The opcodes and the items that count against the limits."""
    machine = Machine(DEFAULT_LIMITS)
    for _ in traced(machine, data):
        pass
    return machine.pickle.cost, machine.items


def largest(shape: Shape) -> int:
    """The most parts of a pickle that are within the limits."""
    few, more = (spent(bare(shape)(n, 0)) for n in (10_000, 20_000))
    most = (DEFAULT_LIMITS.opcodes, DEFAULT_LIMITS.paths)
    each = [10_000 * (limit - 400) // (b - a) for limit, a, b in zip(most, few, more, strict=True) if b > a]
    return min([*each, DEFAULT_LIMITS.memo_index])


@functools.cache
def shapes() -> dict[str, Shape]:
    """The files by name; the number of parts is ignored."""
    found = {
        "records": lambda _, first: records(DEFAULT_LIMITS.entries, first),
        "deflated": lambda _, first: deflated(DEFAULT_LIMITS.pickle_bytes - 100, first),
        "zip of pickles": lambda _, first: FILES["zip of pickles"][1](SCAN_LIMITS.pickles, first),
    }
    for name in (
        "tensors",
        "optimizer",
        "modules",
        "legacy",
        "tar of torch 0.1",
        "numpy scalars",
        "tied tensors",
        "safetensors",
        "npz",
    ):
        count = 50_000 if name == "optimizer" else 100_000
        found[name] = functools.partial(lambda shape, n, _, first: shape(n, first), FILES[name][1], count)
    for name, shape in (MORE | PICKLES).items():
        found[name] = functools.partial(lambda shape, _, first: with_weights(shape)(largest(shape), first), shape)
    return found


COMMANDS = [
    line.split()
    for line in """
inspect IN
inspect IN --tree --all --json
inspect IN --tensors --all
inspect IN --map
inspect IN --map --fields --all
inspect IN --opcodes --all
inspect IN --at 199
verify IN
verify IN --values
diff IN IN
scan IN
slim IN -n --no-scan
slim IN -o OUT.pt --no-scan --no-sync -f --check
slim IN -o OUT.pt --no-scan --no-sync -f --plain
convert IN -o OUT.safetensors --all --sidecar --no-sync -f
repair IN -o OUT.pt --no-sync -f
""".strip().splitlines()
]


def build(name: str, path: Path) -> None:
    path.write_bytes(shapes()[name](0, 0))


def measure(command: list[str], folder: Path) -> tuple[float, float, str]:
    """CPU seconds and MiB of a command, and what it says of limits, or its last line if it fails in another way."""
    words = [str(folder / word) if word.startswith(("IN", "OUT")) else word for word in command]
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ptzip", *words], stdout=output, stderr=output, preexec_fn=lambda: os.nice(5)
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(max(0, output.tell() - 2000))
        end = output.read().decode(errors="replace")
    said = "limit" if "--limit" in end else f"exit {process.returncode}" if process.returncode not in {0, 1} else ""
    if "Traceback" in end:
        said = end.strip().splitlines()[-1][:60]
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the largest files that the limits admit.")
    parser.add_argument("--command", action="append", metavar="WORD", help="only commands that contain this")
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"some of: {', '.join(shapes())} (default: all)")
    options = parser.parse_args()
    is_ok = True
    for name in options.shapes or shapes():
        with tempfile.TemporaryDirectory(prefix="limits") as made:
            folder = Path(made)
            with multiprocessing.get_context("fork").Pool(
                1
            ) as pool:  # so that this process, whose peak others inherit, stays small
                pool.apply(build, (name, folder / "IN"))
            for command in COMMANDS:
                line = " ".join(command[:1] + command[2:])
                if options.command and not any(word in line for word in options.command):
                    continue
                seconds, mib, said = measure(command, folder)
                is_above = seconds > MOST_CPU or mib > MOST_MIB
                is_ok &= not is_above
                cells = (name, line, f"{seconds:.1f}", f"{mib:.0f}", said, "ABOVE" if is_above else "")
                print(f"| {' | '.join(cells)} |", flush=True)
    return 0 if is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
