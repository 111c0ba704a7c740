"""Other scanners from PyPI beside ptzip, on the same files: `python -m tests.bench.scanners`.

Each is installed into an environment of its own, the first time into a folder that is kept: `--tools FOLDER`. A file is
stopped when a tool's exit code is not 0 (of fickling: when its API does not call it likely safe). Nothing is ever loaded.
Prints how many malicious, suspicious and clean files each stops, and the processor time of one small file.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.corpus import CORPUS, manifest

FICKLING = "import fickling, sys; sys.exit(not fickling.is_likely_safe(sys.argv[1]))"


class Tool(NamedTuple):
    """A scanner: what to install, and its command without the file."""

    name: str
    package: str
    command: tuple[str, ...]


TOOLS = (
    Tool("picklescan 1.0.5", "picklescan==1.0.5", ("picklescan", "-p")),
    Tool("picklescan --strict", "picklescan==1.0.5", ("picklescan", "--strict", "-p")),
    Tool("modelscan 0.8.8", "modelscan==0.8.8", ("modelscan", "-p")),
    Tool("fickling 0.1.12", "fickling==0.1.12", ("python", "-c", FICKLING)),
    Tool("hayward 1.4.1", "hayward==1.4.1", ("hayward", "scan")),
    Tool("hayward --fail-on info", "hayward==1.4.1", ("hayward", "scan", "--fail-on", "info")),
    Tool("modelaudit 0.2.54", "modelaudit==0.2.54", ("modelaudit", "scan")),
    Tool("modelaudit --strict", "modelaudit==0.2.54", ("modelaudit", "scan", "--strict")),
)
ENVIRONMENT = {"PROMPTFOO_DISABLE_TELEMETRY": "1"}
"""What keeps modelaudit from sending data."""

SMALL = "ok_036_empty.pt"


def installed(folder: Path) -> Path:
    """The folder of the tools' commands."""
    if not (folder / "bin" / "modelaudit").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = sorted({tool.package for tool in TOOLS})
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *packages], check=True)
    return folder / "bin"


def is_stopped(command: list[str], path: Path) -> bool:
    found = subprocess.run([*command, str(path)], capture_output=True, timeout=120, check=False, env=os.environ | ENVIRONMENT)
    return found.returncode != 0


def stopped(command: list[str]) -> Counter[str]:
    """How many files of each kind are stopped."""
    entries: list[dict[str, str]] = list(manifest("threats"))  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda entry: is_stopped(command, CORPUS / "threats" / entry["name"]), entries)
        return Counter(entry["expected"] for entry, hit in zip(entries, found, strict=True) if hit)


def processor_time(command: list[str], runs: int = 9) -> float:
    """The median of user and system time of a process on one small file, in seconds."""
    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        is_stopped(command, CORPUS / "threats" / SMALL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(taken)[runs // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=Path(tempfile.gettempdir()) / "ptzip-scanners")
    binaries = installed(parser.parse_args().tools)
    kinds = Counter(entry["expected"] for entry in manifest("threats"))  # type: ignore[index]
    print(f"{'stopped':<24}" + "".join(f"{f'{kind} of {count}':>20}" for kind, count in kinds.items()) + f"{'one file':>12}")
    rows = [("ptzip scan", [str(Path(sys.executable).parent / "ptzip"), "scan"])]
    rows += [(tool.name, [str(binaries / tool.command[0]), *tool.command[1:]]) for tool in TOOLS]
    for name, command in rows:
        found = stopped(command)
        print(f"{name:<24}" + "".join(f"{found[kind]:>20}" for kind in kinds) + f"{processor_time(command) * 1000:>9.0f} ms")


if __name__ == "__main__":
    main()
