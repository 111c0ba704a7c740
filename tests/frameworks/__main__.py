"""Let frameworks write checkpoints, slim them, load them with the frameworks, and compare what they compute.

By hand, in an environment of its own for each group, which is a module of this folder, with the packages that its `PINS` list:

    python -m tests.frameworks GROUP [--write] [NAME ...]

Without a group, it prints the golden rows of `fixtures/frameworks`. With `--write`, the checkpoints and their rows are written
there, for `tests/slimming`. Differences are shares of the largest output.
"""

import argparse
import importlib
import os
import tempfile
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ptzip
from tests.frameworks import golden
from tests.frameworks.case import Case, largest_difference

HEADINGS = ("checkpoint", "framework", "recipe", "before", "after", "difference", "dropped; kept though it looks like training")
WIDTHS = "{:38}{:32}{:13}{:>9}{:>9}{:>12}  {}"


def main() -> None:
    """Print the table of a group. Exits with 1 where a checkpoint cannot be slimmed, loaded, or computes something else."""
    parser = argparse.ArgumentParser(prog="python -m tests.frameworks")
    parser.add_argument("group", nargs="?")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    print(WIDTHS.format(*HEADINGS))
    if options.group is None:
        for name, row in golden.read().items():
            _print(name, row)
        return
    warnings.simplefilter("ignore")
    cases: tuple[Case, ...] = importlib.import_module(f"tests.frameworks.{options.group}").CASES
    failed = [case.name for case in cases if case.name in (options.names or [case.name]) and not _succeeds(case, options.write)]
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)


def _succeeds(case: Case, is_written: bool) -> bool:
    """Run a case in a folder of its own, which is the current one, and print its row or what went wrong."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            _print(case.name, run(case, Path(folder), golden.FOLDER if is_written else None))
        except Exception:
            print(f"{case.name}: failed\n{''.join(traceback.format_exc(limit=-3))}", flush=True)
            return False
        finally:
            os.chdir(here)
    return True


def run(case: Case, folder: Path, fixtures: Path | None = None) -> dict[str, Any]:
    """The row of a case. Raises AssertionError where the framework computes something else from the slim checkpoint."""
    path = case.write(folder)
    expected, written = case.outputs(path), path.read_bytes()
    output = path.with_name(f"slim-{path.name}")
    report = ptzip.slim(path, output, check=True, scan=False)
    row = {"framework": f"{case.package} {version(case.package)}"} | golden.row(report, output)
    output.replace(path)
    difference = largest_difference(expected, case.outputs(path))
    assert difference <= case.tolerance, f"the outputs differ by {difference:.2g} of the largest: {row}"
    row["difference"] = float(f"{difference:.1e}")
    if fixtures is not None:
        fixture = f"{case.name}{''.join(path.suffixes)}"
        fixtures.mkdir(exist_ok=True)
        (fixtures / fixture).write_bytes(written)
        golden.write(golden.read() | {fixture: row})
    return row


def _print(name: str, row: dict[str, Any]) -> None:
    values = (row["framework"], row["recipe"], row["before"], row["after"], f"{row['difference']:.1e}")
    about = [", ".join(row["dropped"]) or "-", ", ".join(row["kept"]) or "-", *row["notes"]]
    print(WIDTHS.format(name, *values, "; ".join(about)), flush=True)


if __name__ == "__main__":
    main()
