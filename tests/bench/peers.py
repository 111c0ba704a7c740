"""ptzip on the files with which other scanners are tested: `python -m tests.bench.peers CHECKOUT...`.

Each argument is a checkout of picklescan, modelscan, fickling, modelaudit, hayward or the like, which you have; nothing of
theirs is part of this project, and no file is loaded. A file is malicious or benign by what its path says, else unlabelled;
files that a test creates while it runs are not there. Prints ptzip's verdicts for each checkout and kind, with the files that
differ from their label, and how many the scanners of `--tools FOLDER` stop, if they are installed there (see `scanners`).
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from tests.bench.scanners import TOOLS, is_stopped

FOLDERS = ("tests", "test")
SUFFIXES = frozenset(
    (
        *(
            ".pkl",
            ".pickle",
            ".pt",
            ".pth",
            ".bin",
            ".ckpt",
            ".joblib",
            ".dill",
            ".npy",
            ".npz",
            ".safetensors",
            ".tar",
            ".zip",
        ),
        *(
            ".7z",
            ".gz",
            ".xz",
            ".bz2",
            ".mar",
            ".nemo",
            ".model",
            ".data",
            ".dat",
            ".h5",
            ".keras",
            ".skops",
            ".pb",
            ".onnx",
            ".gguf",
        ),
    )
)
"""Files of models; others are code, text and settings of the tests."""

OTHER_FORMATS = frozenset((".h5", ".keras", ".skops", ".pb", ".onnx", ".gguf", ".safetensors"))
"""Formats that hold no pickles, counted apart: what makes them suspicious is text, or code of other frameworks."""

MALICIOUS = re.compile(
    r"malicious|evil|exploit|attack|unsafe|bad_|bypass|sploit|ghsa|cve|traversal|exfiltration|exec|injection|shell|suspicious"
    r"|nested_pickle|obfuscated|multiple_patterns"
)
BENIGN = re.compile(
    r"benign|(?<!un)safe|good|valid|int_array|license_scenarios|simple_nested|not_a_pickle|new_pytorch|pytorch_model"
)
"""What paths say, in lower case, below the folder of the tests; the name of the file counts before its folders."""


def label(path: Path) -> str:
    """What the tests of a checkout take a file for."""
    for text in (path.name.lower(), path.parent.as_posix().lower()):
        if BENIGN.search(text) and not MALICIOUS.search(text):
            return "benign"
        if MALICIOUS.search(text):
            return "malicious"
    return "unlabelled"


def files(checkout: Path) -> Iterator[tuple[Path, str]]:
    """The files of models and their labels, those of formats without pickles under a label of their own."""
    for folder in FOLDERS:
        for path in sorted((checkout / folder).rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                kind = label(path.relative_to(checkout / folder))
                yield path, f"{kind} (other formats)" if path.suffix.lower() in OTHER_FORMATS else kind


def differs(kind: str, verdict: Verdict) -> bool:
    """Whether a verdict is not what the label says."""
    return (verdict is Verdict.CLEAN) if kind == "malicious" else kind == "benign" and verdict is not Verdict.CLEAN


def main() -> None:
    parser = argparse.ArgumentParser(description="Run ptzip on the test files of other scanners.")
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")
    parser.add_argument("--tools", type=Path, help="a folder in which other scanners are installed")
    options = parser.parse_args()
    tools = [tool for tool in TOOLS if options.tools and (options.tools / "bin" / tool.command[0]).exists()]
    print(f"{'':<42}{'files':>7}" + "".join(f"{verdict.value:>12}" for verdict in Verdict))
    for checkout in options.checkouts:
        found = defaultdict[str, list[Path]](list)
        for path, kind in files(checkout):
            found[kind].append(path)
        if not found:
            print(f"{checkout.name}: no files; its tests create theirs")
        for kind, paths in sorted(found.items()):
            verdicts = {path: scan(path).verdict for path in paths}
            counts = Counter(verdicts.values())
            row = f"{checkout.name + ', ' + kind:<42}{len(paths):>7}"
            print(row + "".join(f"{counts[verdict]:>12}" for verdict in Verdict))
            for path, verdict in verdicts.items():
                if differs(kind, verdict):
                    print(f"  {path.relative_to(checkout)} is {verdict.value}")
            for tool in tools:
                command = [str(options.tools / "bin" / tool.command[0]), *tool.command[1:]]
                print(f"  {tool.name} stops {sum(is_stopped(command, path) for path in paths)}")


if __name__ == "__main__":
    main()
