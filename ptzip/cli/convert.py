"""`ptzip convert FILE -o OUT`: the tensors of a checkpoint in another format."""

import argparse

import ptzip
from ptzip.cli.printing import as_json, complain, message, progress_bar, renames, show
from ptzip.json_output import error_dict

DESCRIPTION = (
    "Write the tensors of a checkpoint as .safetensors, .npz, or a plain state dict (.pt, .pth, .bin, .ckpt), as the suffix of "
    "OUT says; from any of them to any other. They are called by their dotted names, as inspect shows them. Dtypes are kept."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to convert")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output file; its suffix is the format")
    parser.add_argument("-f", "--force", action="store_true", help="replace an output that is there")
    select = "take the tensors whose names match (a glob), all by default"
    parser.add_argument("--select", action="append", metavar="PATTERN", default=[], help=select)
    rename = "names that begin with OLD begin with NEW instead; --rename model= takes the beginning off"
    parser.add_argument("--rename", action="append", metavar="OLD=NEW", default=[], help=rename)
    parser.add_argument("--prefix", default="", metavar="NAME", help="what stands in front of every name, then")
    shards = "split safetensors into files of at most so many bytes, with an index: 5GB, 500MB"
    parser.add_argument("--max-shard-size", metavar="SIZE", help=shards)
    parser.add_argument("--sidecar", action="store_true", help="write what is no tensor as JSON beside the output")
    strict = "write nothing, and exit with 1, if a tensor has no form in the new format (default: leave it out, and say so)"
    parser.add_argument("--strict", action="store_true", help=strict)
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Convert one file."""
    name = arguments.file
    try:
        report = _converted(name, arguments)
    except (ptzip.PtzipError, OSError, ValueError) as error:
        complain("error", f"{name}: {message(error, name)}")
        if arguments.json:
            show(as_json(error_dict(message(error, name), path=name)))
        return 2
    from ptzip.render.convert import lines, warnings  # here, since --help needs none of it

    for warning in warnings(report):
        complain("warning", f"{name}: {warning}")
    if arguments.json:
        show(as_json(report.to_dict()))
    elif not arguments.quiet:
        show("\n".join(lines(report)))
    return 1 if arguments.strict and report.left_out else 0


def _converted(name: str, arguments: argparse.Namespace) -> "ptzip.ConvertReport":
    with progress_bar(name, arguments.quiet or arguments.json) as progress:
        return ptzip.convert(
            name,
            arguments.output,
            select=arguments.select,
            rename=renames(arguments.rename),
            prefix=arguments.prefix,
            max_shard_size=arguments.max_shard_size,
            sidecar=arguments.sidecar,
            strict=arguments.strict,
            overwrite=arguments.force,
            progress=progress,
        )
