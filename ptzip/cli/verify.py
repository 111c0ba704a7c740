"""`ptzip verify FILE…`: check the integrity of checkpoints."""

import argparse

import ptzip
from ptzip.cli.files import checkpoints
from ptzip.cli.parser import Paths
from ptzip.cli.printing import Bar
from ptzip.cli.results import Results
from ptzip.cli.streams import source

DESCRIPTION = (
    "Check every byte: the structure, both headers and the CRC of every record, the storages against the pickle, and the "
    "offsets that torch computes. One line for each file, OK or ERROR, then its problems. Exit code 0 if all files are intact, "
    "1 if one is not, 2 if one could not be checked."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", action=Paths, metavar="PATH", help="checkpoints, or folders of them; - is stdin")
    parser.add_argument("--values", action="store_true", help="also look for NaN and infinity in every tensor")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only files with problems")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify each file; one that fails does not stop the others."""
    from ptzip.render.verify import lines  # here, since --help needs none of it

    results = Results("verify", arguments.json)
    names = [file.path for file in checkpoints(arguments.files, has_others=True)]
    with Bar(names, arguments) as bar:
        for name in names:
            try:
                report = ptzip.verify(source(name), values=arguments.values, progress=bar.next(), limits=arguments.limits)
            except (ptzip.PtzipError, OSError) as error:
                results.fail(name, error)
                continue
            is_shown = not (arguments.quiet and report.ok)
            results.add(name, report.to_dict, lines(report) if is_shown else (), code=0 if report.ok else 1)
    return results.end()
