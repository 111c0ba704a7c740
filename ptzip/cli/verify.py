"""`ptzip verify FILE…`: check the integrity of checkpoints."""

import argparse

from ptzip.cli.batch.flags import TOGETHER, add_batch, named, outcomes, text_settings
from ptzip.cli.batch.tally import Tally
from ptzip.cli.batch.task import Task
from ptzip.cli.files import checkpoints
from ptzip.cli.parser import Paths
from ptzip.cli.results import Results

DESCRIPTION = (
    "Check every byte: the structure, both headers and the CRC of every record, the storages against the pickle, and the "
    "offsets that torch computes. One line for each file, OK or ERROR, then its problems. Exit code 0 if all files are intact, "
    "1 if one is not, 2 if one could not be checked."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", action=Paths, metavar="PATH", help="checkpoints, or folders of them; - is stdin")
    parser.add_argument("--values", action="store_true", help="also look for NaN and infinity in every tensor")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only files with problems")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    add_batch(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify each file; one that fails does not stop the others."""
    results, options = Results("verify", arguments.json), {"values": arguments.values, "limits": arguments.limits}
    files = checkpoints(named(arguments, arguments.files), has_others=True)
    tasks = [Task("verify", file.path, options, text_settings(not arguments.json)) for file in files]
    tally = Tally()
    for found in outcomes(tasks, arguments):
        results.take(found, found.code, has_lines=not (arguments.quiet and found.report["ok"]))
        tally.add(found)
    if not arguments.quiet and not arguments.json:
        tally.show(TOGETHER)
    return results.end()
