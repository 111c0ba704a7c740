"""`ptzip verify FILE…`: check the integrity of checkpoints."""

import argparse
from typing import Any

import ptzip
from ptzip.cli.printing import as_json, complain, message, progress_bar, show
from ptzip.json_output import error_dict

DESCRIPTION = (
    "Check every byte: the structure, both headers and the CRC of every record, the storages against the pickle, and the "
    "offsets that torch computes. One line for each file, OK or ERROR, then its problems. Exit code 0 if all files are intact, "
    "1 if one is not, 2 if one could not be checked."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="checkpoints to verify")
    parser.add_argument("--values", action="store_true", help="also look for NaN and infinity in every tensor")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only files with problems")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify each file; one that fails does not stop the others."""
    from ptzip.render.verify import lines  # here, since --help needs none of it

    codes, reports = [0], list[dict[str, Any]]()
    for name in arguments.files:
        try:
            with progress_bar(name, arguments.quiet or arguments.json) as progress:
                report = ptzip.verify(name, values=arguments.values, progress=progress, limits=arguments.limits)
        except (ptzip.PtzipError, OSError) as error:
            codes.append(2)
            reports.append(error_dict(message(error, name), path=name))
            complain("error", f"{name}: {message(error, name)}")
            continue
        codes.append(0 if report.ok else 1)
        reports.append(report.to_dict())
        if not arguments.json and not (arguments.quiet and report.ok):
            show("\n".join(lines(report)))
    if arguments.json:
        show(as_json(reports))
    return max(codes)
