"""`ptzip repair FILE -o OUT`: recover a truncated or damaged checkpoint."""

import argparse

import ptzip
from ptzip.cli.printing import NO_SYNC, as_json, complain, message, progress_bar, show
from ptzip.json_output import error_dict

DESCRIPTION = (
    "Write what can be recovered of a truncated or damaged file of torch.save to a new zip that torch loads, and list what "
    "cannot: lost tensors (filled with NaN, or 0), damaged ones, and those without a CRC to verify them. Exit code 0 if every "
    "tensor is recovered or nothing needs repair, 1 if one is not, 2 if nothing could be recovered."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to repair; it is not changed")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="path of the new file")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output")
    fill = "fill at most SIZE of missing bytes, as 5GB (default: 1 GiB, or 16 times a larger input)"
    parser.add_argument("--max-fill", metavar="SIZE", help=fill)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing if every tensor is recovered")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Repair the file."""
    from ptzip.render.repair import lines  # here, since --help needs none of it

    name = arguments.file
    try:
        with progress_bar(name, arguments.quiet or arguments.json) as progress:
            report = ptzip.repair(
                name,
                arguments.output,
                overwrite=arguments.force,
                max_fill=arguments.max_fill,
                sync=not arguments.no_sync,
                progress=progress,
                limits=arguments.limits,
            )
    except (ptzip.PtzipError, OSError, ValueError) as error:
        text = message(error, name)
        complain("error", f"{name}: {text}")
        if arguments.json:
            show(as_json(error_dict(text, path=name)))
        return 2
    for warning in report.warnings:
        complain("warning", f"{name}: {warning}")
    if arguments.json:
        show(as_json(report.to_dict()))
    elif not (arguments.quiet and report.ok):
        show("\n".join(lines(report)))
    return 0 if report.ok else 1
