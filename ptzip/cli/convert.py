"""`ptzip convert FILE -o OUT`: export the tensors of a checkpoint to another format."""

import argparse

import ptzip
from ptzip.cli.printing import NO_SYNC, as_json, complain, message, progress_bar, renames, show
from ptzip.json_output import error_dict

DESCRIPTION = (
    "Export the weights of a checkpoint to .safetensors, .npz, or a plain state dict (.pt, .pth, .bin, .ckpt); the suffix of "
    "OUT determines the format. Tensors keep their dotted names as inspect shows them, and their dtypes unless --dtype names "
    "another. What slim takes for states of training is left out and listed."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="checkpoint to convert")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output file; its suffix determines the format")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite existing files")
    dtype = "cast the weights as slim does (default: keep)"
    parser.add_argument("--dtype", default="keep", choices=("float16", "bfloat16", "keep"), help=dtype)
    parser.add_argument("--all", action="store_true", help="export all tensors, those of optimizers and other copies too")
    select = "export only tensors whose names match a glob (default: all)"
    parser.add_argument("--select", action="append", metavar="PATTERN", default=[], help=select)
    strip = "remove a prefix that all names have; auto: module, _orig_mod, model and the key of the weights"
    parser.add_argument("--strip", default="", metavar="PREFIX", help=strip)
    rename = "replace the prefix OLD of names by NEW; --rename model= removes the prefix"
    parser.add_argument("--rename", action="append", metavar="OLD=NEW", default=[], help=rename)
    parser.add_argument(
        "--prefix", default="", metavar="NAME", help="prepend a prefix to every name, after --strip and --rename"
    )
    shards = "split safetensors into files of at most SIZE, with an index: 5GB, 500MB"
    parser.add_argument("--max-shard-size", metavar="SIZE", help=shards)
    parser.add_argument("--sidecar", action="store_true", help="save non-tensor values to a JSON sidecar")
    strict = "write nothing and exit with 1 if the format cannot represent a tensor (default: leave it out with a warning)"
    parser.add_argument("--strict", action="store_true", help=strict)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
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
            dtype=arguments.dtype,
            all=arguments.all,
            select=arguments.select,
            strip=arguments.strip,
            rename=renames(arguments.rename),
            prefix=arguments.prefix,
            max_shard_size=arguments.max_shard_size,
            sidecar=arguments.sidecar,
            strict=arguments.strict,
            sync=not arguments.no_sync,
            overwrite=arguments.force,
            progress=progress,
            limits=arguments.limits,
        )
