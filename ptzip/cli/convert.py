"""`ptzip convert FILE -o OUT`: export the tensors of a checkpoint to another format."""

import argparse

import ptzip
from ptzip.cli.printing import NO_SYNC, PORTABLE, RENAME_CLASS, Bar, renames
from ptzip.cli.results import Results
from ptzip.cli.streams import STANDARD, output_path, source

DESCRIPTION = (
    "Export the weights of a checkpoint to .safetensors, .npz, or a plain state dict (.pt, .pth, .bin, .ckpt); the suffix of "
    "OUT determines the format. Tensors keep their dotted names as inspect shows them, and their dtypes unless --dtype names "
    "another. What slim takes for states of training is left out and listed."
)


STREAM_FORMAT = "safetensors"
"""What goes to stdout unless --format names another."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to convert; - is stdin")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="output file, whose suffix determines the format; - is stdout"
    )
    form = f"format of what goes to stdout (default: {STREAM_FORMAT})"
    parser.add_argument("--format", choices=("safetensors", "npz", "pt"), help=form)
    parser.add_argument("-f", "--force", action="store_true", help="overwrite existing files")
    dtype = "cast the weights as slim does (default: keep)"
    parser.add_argument("--dtype", default="keep", choices=("float16", "bfloat16", "keep"), help=dtype)
    parser.add_argument("-a", "--all", action="store_true", help="export all tensors, those of optimizers and other copies too")
    masters = "of a folder of DeepSpeed, export the float32 weights of the optimizer where there are 16-bit weights too"
    parser.add_argument("--masters", action="store_true", help=masters)
    select = "export only tensors whose names match a glob (default: all)"
    parser.add_argument("--select", action="append", metavar="PATTERN", default=[], help=select)
    strip = "remove a prefix that all names have; auto: module, _orig_mod, model and the key of the weights"
    parser.add_argument("--strip", default="", metavar="PREFIX", help=strip)
    rename = "replace the prefix OLD of names by NEW; --rename model= removes the prefix"
    parser.add_argument("--rename", action="append", metavar="OLD=NEW", default=[], help=rename)
    parser.add_argument(
        "--prefix", default="", metavar="NAME", help="prepend a prefix to every name, after --strip and --rename"
    )
    shards = "split the output into files of at most SIZE, with an index: 5GB, 500MB"
    parser.add_argument("--max-shard-size", metavar="SIZE", help=shards)
    parser.add_argument("--sidecar", action="store_true", help="save non-tensor values to a JSON sidecar")
    whole = f"{PORTABLE} (writes the object as a whole, to .pt)"
    parser.add_argument("--portable", action="store_true", help=whole)
    parser.add_argument("--rename-class", action="append", metavar="OLD=NEW", default=[], help=RENAME_CLASS)
    strict = "write nothing and exit with 1 if the format cannot represent a tensor (default: leave it out with a warning)"
    parser.add_argument("--strict", action="store_true", help=strict)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Convert one file."""
    from dataclasses import replace  # here and below, since --help needs none of it

    from ptzip.render.convert import lines, warnings  # as above

    results, name = Results("convert", arguments.json), arguments.file
    try:
        _check(arguments)
        with output_path(arguments.output, f".{arguments.format or STREAM_FORMAT}") as path:
            report = _converted(name, path or "", arguments)
            if arguments.output == STANDARD:
                report = replace(report, outputs=(STANDARD,) * bool(report.outputs))
            code = 1 if arguments.strict and report.left_out else 0
            results.add(name, report.to_dict, () if arguments.quiet else lines(report), code, list(warnings(report)))
            return results.end()
    except (ptzip.PtzipError, OSError, ValueError) as error:
        results.fail(name, error)
    return results.end()


def _check(arguments: argparse.Namespace) -> None:
    """Raise EditError for flags that do not belong to the output."""
    is_stream = arguments.output == STANDARD
    if is_stream and (arguments.max_shard_size or arguments.sidecar):
        raise ptzip.EditError("stdout takes one file: --max-shard-size and --sidecar need an output with a name")
    if arguments.format and not is_stream:
        raise ptzip.EditError("--format is about -o -: the suffix of any other output determines the format")


def _converted(name: str, output: str, arguments: argparse.Namespace) -> "ptzip.ConvertReport":
    with Bar([name], arguments) as bar:
        return ptzip.convert(
            source(name),
            output,
            dtype=arguments.dtype,
            all=arguments.all,
            masters=arguments.masters,
            select=arguments.select,
            strip=arguments.strip,
            rename=renames(arguments.rename),
            prefix=arguments.prefix,
            max_shard_size=arguments.max_shard_size,
            sidecar=arguments.sidecar,
            portable=arguments.portable,
            rename_class=renames(arguments.rename_class),
            strict=arguments.strict,
            sync=not arguments.no_sync,
            overwrite=arguments.force,
            progress=bar.next(),
            limits=arguments.limits,
        )
