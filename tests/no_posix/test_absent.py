"""What is taken away is what Python lacks on Windows, and ptzip asks for none of it."""

import importlib
import re
from pathlib import Path

import pytest

from tests.no_posix import ROOT
from tests.no_posix.absent import ABSENT, is_absent

api = pytest.importorskip("mypy.api", reason="needs mypy, which knows what each system has")


def errors(system: str, folder: Path, *words: str | Path) -> str:
    """What mypy reports where the system is `system`; `folder` is for what it remembers."""
    flags = ("--config-file=", "--python-version=3.11", f"--platform={system}", f"--cache-dir={folder}", *map(str, words))
    return str(api.run(list(flags))[0])


def test_the_names_that_are_taken_away_are_those_that_windows_lacks(tmp_path: Path) -> None:
    names = [f"{module}.{name}" for module in ABSENT for name in dir(importlib.import_module(module)) if name[0] != "_"]
    program = tmp_path / "program.py"
    program.write_text("\n".join((f"import {', '.join(ABSENT)}", *names)))
    unknown = {system: set[str]() for system in ("linux", "win32")}
    for system, found in unknown.items():
        for line in re.findall(r"program\.py:(\d+): error: Module has no attribute", errors(system, tmp_path, program)):
            found.add(names[int(line) - 2])
    assert unknown["win32"] - unknown["linux"] == {name for name in names if is_absent(*name.split("."))} - unknown["linux"]


GUARDED = {
    "cli/batch/pool.py": "--memory is refused where there is no resource, and nothing else uses it",
    "io/access.py": "nothing is taken over where there is no fchown; other AttributeErrors are caught, since systems differ",
    "io/work_folder.py": "folders are locked, and abandoned ones removed, where there is fcntl",
}
"""Files that find out at run time, and how; the tests in this mode run both."""


def test_ptzip_uses_nothing_that_windows_lacks_without_looking_for_it(tmp_path: Path) -> None:
    found = errors("win32", tmp_path, "--follow-imports=silent", f"{ROOT}/ptzip")
    assert set(re.findall(r"ptzip/(\S+?):\d+: error: Module has no attribute", found)) == GUARDED.keys()
