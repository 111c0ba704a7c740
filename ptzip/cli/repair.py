"""`ptzip repair FILE -o OUT`: what can be saved of a checkpoint that was cut off or damaged?"""

import argparse

import ptzip
from ptzip.cli.printing import as_json, complain, message, show
from ptzip.json_output import error_dict

DESCRIPTION = (
    "Write what can be saved of a cut or damaged zip of torch.save to a new file that torch loads, and name what cannot: "
    "lost tensors (filled with NaN, or 0), damaged ones, and those that no checksum vouches for. Exit code 0 if every tensor "
    "is whole or there is nothing to repair, 1 if one is not, 2 if nothing could be saved."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to repair; it is not touched")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="where the new file goes")
    parser.add_argument("-f", "--force", action="store_true", help="replace an output that is there")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing where every tensor is whole")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Repair the file."""
    from ptzip.render.repair import lines  # here, since --help needs none of it

    name = arguments.file
    try:
        report = ptzip.repair(name, arguments.output, overwrite=arguments.force)
    except (ptzip.PtzipError, OSError) as error:
        text = message(error, name)
        complain("error", f"{name}: {text}")
        if arguments.json:
            show(as_json(error_dict(text, path=name)))
        return 2
    if arguments.json:
        show(as_json(report.to_dict()))
    elif not (arguments.quiet and report.ok):
        show("\n".join(lines(report)))
    return 0 if report.ok else 1
