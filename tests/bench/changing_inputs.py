"""Inputs that change, by hand: `python -m tests.bench.changing_inputs SECONDS`. Needs a system with fork.

Commands read a file that another program replaces, rewrites, overwrites in place, cuts off or removes at a random moment. Each
has to fail, or to give the answer of one version of the file: those two differ in every name and number. Exit code 1 if not.
"""

import collections
import functools
import gzip
import os
import pickle
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zstandard

import ptzip
from ptzip.cli.main import main
from tests.faults.child import load_everything
from tests.files_of_checkpoints import tarred, zipped
from tests.small_checkpoints import Saving, archive

COUNT, LENGTH, BLOCK = 40, 8192, 1 << 16
TICK = 0.012
"""A system counts the time of a change in steps of some milliseconds; so long after it was written, a file has another."""

COMMANDS = """
inspect IN --tensors --all --json
inspect IN --json
inspect IN --tree --all
inspect IN --opcodes --all
inspect IN --map
verify IN
verify IN --values --json
scan IN --json
slim IN -o out.pt --dtype keep
slim IN -o out.pt --check
slim IN -n --json
convert IN -o out.npz
convert IN -o out.safetensors --sidecar --max-shard-size 300KB
convert IN -o out.pt --dtype float16
repair IN -o out.pt
load
open
""".strip().splitlines()


def version(letter: str, number: float) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """The tensors of a version of the file."""
    return {f"w{letter}{index:02}": np.full(LENGTH, number, np.float32) for index in range(COUNT)}


def saved(letter: str, number: float, folder: Path) -> dict[str, bytes]:
    """A version as a file of every format."""
    saving, path = Saving(), folder / "saved.pt"
    tensors = {name: saving.tensor(array) for name, array in version(letter, number).items()}
    data = archive(saving.records(saving.ordered(tensors)))
    path.write_bytes(data)
    found = {
        "in.pt": data,
        "in.pt.zst": zstandard.compress(data),
        "in.pt.gz": gzip.compress(data, 1),
        "in.tar": tarred({"m": data}),
        "two.tar": tarred({"m": data, "n": data}),
        "two.zip": zipped({"m": data, "n": data}, 8),
        "in.pkl": pickle.dumps(version(letter, number), protocol=2),
    }
    for suffix in (".safetensors", ".npz"):
        ptzip.convert(path, folder / f"in{suffix}", overwrite=True)
        found[f"in{suffix}"] = (folder / f"in{suffix}").read_bytes()
    ptzip.slim(path, folder / "old.pt", format="legacy", dtype="keep", overwrite=True)
    return found | {"old.pt": (folder / "old.pt").read_bytes()}


def overwrite(path: Path, data: bytes, chance: random.Random) -> None:
    """Write the new version over the old one, block by block in any order."""
    with path.open("r+b") as file:
        for at in chance.sample(range(0, len(data), BLOCK), len(range(0, len(data), BLOCK))):
            file.seek(at)
            file.write(data[at : at + BLOCK])
        file.truncate(len(data))


def replace(path: Path, data: bytes, _: random.Random) -> None:
    (path.parent / "new").write_bytes(data)
    (path.parent / "new").replace(path)


CHANGES: Mapping[str, Callable[[Path, bytes, random.Random], object]] = {
    "replaced": replace,
    "rewritten": lambda path, data, _: path.write_bytes(data),
    "overwritten": overwrite,
    "cut off": lambda path, _, chance: os.truncate(path, chance.randrange(path.stat().st_size)),
    "removed": lambda path, *_: path.unlink(),
}


class Outcome(NamedTuple):
    code: int
    text: str
    seconds: float


def read_in_python(command: str, path: Path) -> int:
    """Read all tensors as a program does, and print their names and what numbers they hold."""
    try:
        tensors = ptzip.load(path) if command == "load" else {name: one.numpy() for name, one in ptzip.open(path).items()}
    except (ptzip.PtzipError, OSError) as error:
        print(error)
        return 2
    assert isinstance(tensors, Mapping)
    print(*tensors, *(f"holds {number}" for one in tensors.values() for number in np.unique(np.asarray(one))))
    return 0


def run(command: str, path: Path, change: Callable[[], object] = lambda: None, after: float = 0) -> Outcome:
    """Run a command in a fork, and change its input after so many seconds."""
    printed, started, child = os.memfd_create("printed"), time.monotonic(), os.fork()
    if not child:
        code = 9
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        try:
            words = command.replace("IN", str(path)).split()
            code = read_in_python(command, path) if len(words) == 1 else main(words)
            sys.stdout.flush()
        except BaseException as error:  # what a user would see as a traceback
            os.write(2, f"Traceback {error!r}".encode())
        finally:
            os._exit(code)
    time.sleep(after)
    change()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seconds, text = time.monotonic() - started, os.pread(printed, 1 << 24, 0).decode(errors="replace")
    os.close(printed)
    return Outcome(code, text, seconds)


def faults_in(outcome: Outcome, folder: Path) -> list[str]:
    """What a run did that is neither an error nor the answer of one version."""
    outputs = [path for path in folder.iterdir() if path.name.startswith("out") and path.suffix != ".json"]
    text = outcome.text if outcome.code in (0, 1) else ""
    for output in outputs:
        with ptzip.open(output) as checkpoint:
            text += "".join(f" {name} holds {one.numpy().flat[0]}" for name, one in checkpoint.items())
    found = {"a": "1.0", "b": "2.0"}
    versions = {*re.findall(r"\bw([ab])\d\d", text), *(one for one, number in found.items() if f"holds {number}" in text)}
    return [
        *(["a mixture"] if len(versions) > 1 else []),
        *([f"exit code {outcome.code}"] if outcome.code not in (0, 1, 2, 3) or "Traceback" in outcome.text else []),
        *(["an error with outputs"] if outcome.code == 2 and outputs else []),
        *(["a temporary folder"] if any(path.name.startswith(".ptzip-") for path in folder.iterdir()) else []),
    ]


def prepared(folder: Path, name: str, data: bytes) -> Path:
    """The input, alone in its folder."""
    for path in folder.iterdir():
        path.unlink()
    (folder / name).write_bytes(data)
    time.sleep(TICK)
    return folder / name


def try_all(seconds: float, folder: Path) -> bool:
    """Print a line for each fault and the numbers of errors and answers; returns whether there was no fault."""
    old, new = saved("a", 1, folder), saved("b", 2, folder)
    chance, stop, counts, faults = random.Random(0), time.monotonic() + seconds, collections.Counter[tuple[str, str]](), 0
    while time.monotonic() < stop:
        name, command, kind = (chance.choice(list(some)) for some in (old, COMMANDS, CHANGES))
        alone = run(command, prepared(folder, name, old[name])).seconds
        path = prepared(folder, name, old[name])
        change = functools.partial(CHANGES[kind], path, new[name], chance)
        outcome = run(command, path, change, chance.uniform(0, 1.1 * alone))
        counts[kind, "errors" if outcome.code == 2 else "answers"] += 1
        for what in faults_in(outcome, folder):
            faults += 1
            print(f"{command}, {name} {kind}: {what}; exit code {outcome.code}", flush=True)
    print(f"{counts.total():,} runs, {faults} faults: {dict(sorted(counts.items()))}")
    return not faults


if __name__ == "__main__":
    load_everything()
    with tempfile.TemporaryDirectory() as work:
        sys.exit(0 if try_all(float(sys.argv[1]), Path(work)) else 1)
