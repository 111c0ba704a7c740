"""`ptzip repair FILE -o OUT`: recover a truncated or damaged checkpoint."""

import argparse

import ptzip
from ptzip.cli.printing import NO_SYNC, Bar
from ptzip.cli.results import Results
from ptzip.cli.streams import STANDARD, output_path, source

DESCRIPTION = (
    "Write what can be recovered of a truncated or damaged file of torch.save to a new zip that torch loads, and list what "
    "cannot: lost tensors (filled with NaN, or 0), damaged ones, and those without a CRC to verify them. Exit code 0 if every "
    "tensor is recovered or nothing needs repair, 1 if one is not, 2 if nothing could be recovered."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to repair, which is not changed; - is stdin")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="path of the new file; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output")
    fill = "fill at most SIZE of missing bytes, as 5GB (default: 1 GiB, or 16 times a larger input)"
    parser.add_argument("--max-fill", metavar="SIZE", help=fill)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing if every tensor is recovered")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Repair the file."""
    from dataclasses import replace  # here and below, since --help needs none of it

    from ptzip.render.repair import lines  # as above

    results, name = Results("repair", arguments.json), arguments.file
    try:
        with output_path(arguments.output) as path:
            report = _repaired(name, path or "", arguments)
            if arguments.output == STANDARD and report.output:
                report = replace(report, output=STANDARD)
            is_shown = not (arguments.quiet and report.ok)
            results.add(name, report.to_dict, lines(report) if is_shown else (), 0 if report.ok else 1, report.warnings)
            return results.end()
    except (ptzip.PtzipError, OSError, ValueError) as error:
        results.fail(name, error)
    return results.end()


def _repaired(name: str, output: str, arguments: argparse.Namespace) -> "ptzip.RepairReport":
    with Bar([name], arguments) as bar:
        return ptzip.repair(
            source(name),
            output,
            overwrite=arguments.force,
            max_fill=arguments.max_fill,
            sync=not arguments.no_sync,
            progress=bar.next(),
            limits=arguments.limits,
        )
