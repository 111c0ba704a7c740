"""Where checkpoints load before and after `--portable`, tried with real interpreters, numpys and torches.

    python -m tests.portable.matrix PYTHON… [--details]

Each PYTHON writes checkpoints of several kinds, and all of them load what each wrote, before and after `ptzip convert
--portable`. Without torch a reader loads the pickle of the zip by itself, so files with tensors are for readers with torch. The
readers "Windows" are the same interpreters with the `pathlib` of Windows; what numpy warns of counts as not loading.
"""

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import ptzip

CHILD = Path(__file__).with_name("child.py")
OF_TORCH = ("tensors", "attributes", "storages")


class Written(NamedTuple):
    """A checkpoint: the versions that wrote it, and its kind."""

    writer: str
    kind: str
    protocol: int
    file: str

    @property
    def portable(self) -> str:
        return self.file.replace(".pt", ".portable.pt")


class Reader(NamedTuple):
    python: str
    name: str
    has_torch: bool
    is_windows: bool = False

    def reads(self, one: Written) -> bool:
        return self.has_torch or one.kind not in OF_TORCH


def child(python: str, *arguments: str) -> Any:
    done = subprocess.run([python, str(CHILD), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python} {' '.join(arguments[:1])}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def written(pythons: list[str], folder: Path) -> tuple[list[Written], list[Reader]]:
    """What each interpreter writes, and the readers."""
    files, readers = list[Written](), list[Reader]()
    for number, python in enumerate(pythons):
        home = folder / str(number)
        home.mkdir()
        found = child(python, "write", str(home))
        name = ", ".join(found["versions"])
        files += [Written(name, one["kind"], one["protocol"], one["file"]) for one in found["files"]]
        readers.append(Reader(python, name, found["torch"]))
        if "Python 3.8" not in name and not found["torch"]:  # its pathlib imports a module of Windows
            readers.append(Reader(python, f"{name}, Windows", False, True))
    return files, readers


def verdicts(files: list[Written], readers: list[Reader]) -> dict[tuple[str, str], str]:
    """What each reader says of each file, by the name of the reader and the file."""
    found = dict[tuple[str, str], str]()
    for reader in readers:
        names = [name for one in files if reader.reads(one) for name in (one.file, one.portable)]
        said = child(reader.python, "read", *(["--windows"] if reader.is_windows else []), *names)
        found |= {(reader.name, name): verdict for name, verdict in said.items()}
    return found


def table(files: list[Written], readers: list[Reader], found: dict[tuple[str, str], str]) -> list[str]:
    """A row for each writer and kind: how many readers load it, before and after, and who does not after."""
    lines = ["| written by | what | protocol | readers | load before | load after |", "|---|---|---|---|---|---|"]
    for one in files:
        able = [reader for reader in readers if reader.reads(one)]
        before, after = (sum(found[reader.name, name] == "loads" for reader in able) for name in (one.file, one.portable))
        lines.append(f"| {one.writer} | {one.kind} | {one.protocol} | {len(able)} | {before} | {after} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument(
        "--details", action="store_true", help="also list every failure after --portable, and those before by cause"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files, readers = written(arguments.pythons, Path(folder))
        for one in files:
            ptzip.convert(one.file, one.portable, portable=True)
        found = verdicts(files, readers)
        print("\n".join(table(files, readers, found)))
        tried = [(one, reader) for one in files for reader in readers if reader.reads(one)]
        for word, names in (("before", [one.file for one, _ in tried]), ("after", [one.portable for one, _ in tried])):
            said = Counter(found[reader.name, name] for (_, reader), name in zip(tried, names, strict=True))
            print(f"{word}: {said['loads']} of {len(tried)} load")
            if arguments.details:
                print("\n".join(f"    {count} {verdict}" for verdict, count in said.most_common() if verdict != "loads"))
        for one, reader in tried if arguments.details else ():
            if (verdict := found[reader.name, one.portable]) != "loads":
                print(f"{one.writer}, {one.kind}, protocol {one.protocol}, in {reader.name}: {verdict}")


if __name__ == "__main__":
    main()
