"""Runs commands with all their flags on mutated files, from one number to another, each of which gives one file:

    python -m tests.every_command FIRST STOP FOLDER [look | three | all]

On each file three of the commands, all of them, or `look`: open, scan, verify, and read the tensors, in one process. Prints
what raised anything beside PtzipError and OSError, what took more than `MOST_SECONDS` of CPU or `MOST_MIB`, and what took most.
"""

import collections
import contextlib
import gc
import io
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ptzip
from ptzip.cli.main import main
from tests.mutation_run import look, peak, read_values
from tests.mutations import KINDS
from tests.structured_mutations import STRUCTURED

MOST_SECONDS, MOST_MIB = 5, 512
VERBS = ("slim", "inspect", "scan", "verify", "diff", "repair", "convert", "average", "open", "load")
ALL_KINDS = KINDS | STRUCTURED

COMMANDS = [
    line.split()
    for line in """
inspect IN
inspect IN --json
inspect IN --tensors
inspect IN --tensors --all --json
inspect IN --tree
inspect IN --tree --all
inspect IN --tree --all --json
inspect IN --records
inspect IN --records --json
inspect IN --opcodes
inspect IN --opcodes --json
inspect IN --opcodes --all --stack
inspect IN::model --opcodes
inspect IN --opcodes --within 64:999
inspect IN --at 64 --at 199 --at 0x200
inspect IN --map
inspect IN --map --fields --all
inspect IN --map --fields --json
inspect IN --hex 0:1000 --all
inspect IN --hex data.pkl
inspect IN --extract data.pkl -o OUT
inspect IN --extract state_dict.w -o OUT
inspect IN::model
inspect IN::state_dict.w --values
scan IN
scan IN --format sarif
scan IN --globals
verify IN
verify IN --values --json
slim IN -o OUT.pt -f --check
slim IN -o OUT.pt -f --no-scan --plain
slim IN -o OUT.pt -f --no-scan --plain --check
slim IN -o OUT.pt -f --no-scan --ema --keep *.w
slim IN -o OUT.pt -f --no-scan --recipe basic --location keep
slim IN -o OUT.pt -f --no-scan --recipe yolov5
slim IN -o OUT.pt -f --no-scan --drop model.* --set epoch=-1 --check
slim IN -o OUT.pt -f --no-scan --drop *.weight --keep-float32 *a* --dtype bfloat16
slim IN -o OUT.pt -f --no-scan --no-trim --dtype float16 --on-overflow saturate
slim IN -o OUT.pt -f --no-scan --format legacy --dedupe
slim IN -n --no-scan --json
convert IN -o OUT.safetensors -f --no-sync
convert IN -o OUT.safetensors -f --all --sidecar --json
convert IN -o OUT.npz -f --dtype float16
convert IN -o OUT.pt -f --strip auto --prefix a.
convert IN -o OUT.safetensors -f --max-shard-size 200
average IN IN IN -o OUT.pt -f --weights 1,2,3 --json
average IN OTHER -o OUT.safetensors -f --integers first --precision float64
repair IN -o OUT.pt -f --json
repair IN -o OUT.pt -f
diff IN OTHER
diff OTHER IN --all --json
diff IN IN --rtol 0.1
load
""".strip().splitlines()
]


class EscapedError(Exception):
    """What left a public function that may not."""


def guarded(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb, of which only a PtzipError or an OSError may leave: the commands also catch ValueError, for wrong arguments."""

    def run(*arguments: Any, **keywords: Any) -> Any:
        try:
            return verb(*arguments, **keywords)
        except (ptzip.PtzipError, OSError):
            raise
        except Exception as error:
            raise EscapedError from error

    return run


def look_at(path: Path) -> None:
    """Open, scan and verify a file, and read its tensors. Only PtzipError and OSError may be raised."""
    for action in (look, ptzip.scan, ptzip.verify, read_values):
        with contextlib.suppress(ptzip.PtzipError, OSError):
            action(path)


ACTIONS: dict[str, Callable[[Path], None]] = {"load": read_values, "look": look_at}


def run_command(words: list[str], path: Path, other: Path, out: Path) -> None:
    """Run one command, whose output is discarded. Only PtzipError and OSError may be raised."""
    if action := ACTIONS.get(words[0]):
        with contextlib.suppress(ptzip.PtzipError, OSError):
            action(path)
        return
    names = {"IN": str(path), "OTHER": str(other), "OUT": str(out / "new")}
    given = [
        words[0],
        *(
            word.replace("OTHER", names["OTHER"]).replace("IN", names["IN"], word.startswith("IN")).replace("OUT", names["OUT"])
            for word in words[1:]
        ),
    ]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(given) in (0, 1, 2, 3)


def reset_peak() -> None:
    """Let the peak memory of this process begin again (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


TRIES: dict[str, Callable[[random.Random], list[list[str]]]] = {
    "look": lambda _: [["look"]],
    "three": lambda chance: chance.sample(COMMANDS, 3),
    "all": lambda _: COMMANDS,
}


class Cost(NamedTuple):
    """Seconds of CPU, MiB, and what took them."""

    seconds: float
    mib: float
    name: str


def tried(index: int, tries: str, path: Path, other: Path, out: Path) -> Iterator[tuple[Cost, str]]:
    """The cost of each command that is tried on the file of that index, and what is wrong with it ("" if nothing is)."""
    chance = random.Random(index)
    kind = chance.choice(list(ALL_KINDS))
    path.write_bytes(ALL_KINDS[kind](chance))
    for words in TRIES[tries](chance):
        reset_peak()
        start, before, what = time.process_time(), peak(), ""
        try:
            run_command(words, path, other, out)
        except Exception as error:
            cause = error.__cause__ or error
            where = traceback.extract_tb(cause.__traceback__)[-1]
            what = f"{type(cause).__name__} {str(cause)[:80]} in {Path(where.filename).name}:{where.lineno}"
        cost = Cost(time.process_time() - start, peak() - before, f"{index} {kind}: {' '.join(words)}")
        if cost.seconds > MOST_SECONDS or cost.mib > MOST_MIB:
            what += f" {cost.seconds:.1f} s, {cost.mib:.0f} MiB"
        yield cost, what
        for old in out.iterdir():
            old.unlink()


def run(first: int, stop: int, folder: Path, tries: str = "three") -> None:
    """Try the files of some indices, and print each kind of fault up to three times, and the number of its files."""
    for verb in VERBS:
        setattr(ptzip, verb, guarded(getattr(ptzip, verb)))
    path, other, out = folder / "in.pt", folder / "other.pt", folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    other.write_bytes(KINDS["flipped"](random.Random(0)))
    counts = collections.Counter[str]()
    slowest = largest = Cost(0, 0, "")
    for index in range(first, stop):
        if index % 100 == 0:
            gc.collect()
        for cost, what in tried(index, tries, path, other, out):
            slowest, largest = max(slowest, cost), max(largest, cost, key=lambda one: one.mib)
            if what:
                place = what.rpartition(" in ")[2]
                counts[place] += 1
                if counts[place] <= 3:
                    print(f"{cost.name}: {what}", flush=True)
        if index % 1000 == 999:
            print(f"{index + 1} files", dict(counts), flush=True)
    print(f"{stop - first} files, {counts.total()} faults")
    print(
        f"slowest: {slowest.seconds:.2f} s of CPU, {slowest.name}; largest: {largest.mib:.0f} MiB, {largest.name}", flush=True
    )


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:5])
