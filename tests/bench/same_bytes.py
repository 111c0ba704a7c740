"""Whether `slim` writes the bytes that another commit writes: `python -m tests.bench.same_bytes CHECKOUT [FOLDER...]`.

CHECKOUT is a folder with the other commit, such as a worktree. Every file of the corpus, or of its FOLDERs, is slimmed by both,
with the extra `fast` and without, to float16 and to bfloat16. Exit code 1 if a file or an error differs; the other commit is
the reference. Files that are slim already are the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import environment
from tests.corpus import ROOT, files

FOLDERS = ("format", "yolo", "real", "frameworks")

SLIM = """
import hashlib, json, sys
if sys.argv[1] == "plain":
    sys.modules.update(numkong=None)
import ptzip
found = {}
open("out.pt", "x").close()
for name in sys.stdin.read().split("\\0"):
    for dtype in ("auto", "bfloat16"):
        try:
            report = ptzip.slim(name, "out.pt", overwrite=True, dtype=dtype, format="zip", scan=False, sync=False)
            with open("out.pt", "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[f"{name} as {dtype}"] = "already slim" if report.already_slim else digest
        except (ptzip.PtzipError, OSError) as error:
            found[f"{name} as {dtype}"] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
"""


def slimmed(tree: Path, way: str, paths: list[Path]) -> dict[str, str]:
    """The digest of what a commit makes of each file, or its error."""
    with tempfile.TemporaryDirectory(prefix="ptzip-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-P", "-c", SLIM, way],
            input="\0".join(map(str, paths)),
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
            env=environment() | {"PYTHONPATH": os.fspath(tree)},
        )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare what two commits write.")
    parser.add_argument("checkout", type=Path, help="a folder with the other commit")
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="folders of the corpus")
    options = parser.parse_args()
    paths = files(*options.folders)
    expected = slimmed(options.checkout.resolve(), "fast", paths)
    trees = {"this": ROOT, "the other": options.checkout.resolve()}
    different = 0
    for name, way in (("this", "fast"), ("this", "plain"), ("the other", "plain")):
        found = slimmed(trees[name], way, paths)
        wrong = [f"  {file}\n    {found[file]}\n    {expected[file]}" for file in expected if found[file] != expected[file]]
        print("\n".join([f"{name} commit, {way}: {len(found) - len(wrong)} same, {len(wrong)} different", *wrong]), flush=True)
        different += len(wrong)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
