"""`ptzip average A B C -o OUT`: the average of the weights of several checkpoints."""

import argparse

import ptzip
from ptzip.cli.parser import Paths
from ptzip.cli.printing import NO_SYNC, Bar
from ptzip.cli.results import Results
from ptzip.cli.streams import STANDARD, is_stdin, output_path, source

DESCRIPTION = (
    "Average the weights of checkpoints of one layout, as for model soups and stochastic weight averaging, number by number in "
    "constant memory. The output is as the first file, with other values; what only training needs is left out, as by slim."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", action=Paths, metavar="FILE", help="checkpoints to average; - is stdin")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="path of the new file; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output")
    weights = "a positive number for each file, as 0.5,0.3,0.2 or 3,1; they are divided by their sum (default: all the same)"
    parser.add_argument("--weights", type=_numbers, metavar="W,...", help=weights)
    precision = "sum floats of at most 32 bits in float32 or float64 (default: float32; those of 64 bits always in float64)"
    parser.add_argument("--precision", default="float32", choices=("float32", "float64"), help=precision)
    integers = "where integers or booleans differ: fail, or take those of the first file (default: agree)"
    parser.add_argument("--integers", default="agree", choices=("agree", "first"), help=integers)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _numbers(words: str) -> tuple[float, ...]:
    """The weights in a word."""
    try:
        return tuple(map(float, words.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid weights {words!r}: expected numbers, as 0.5,0.3,0.2") from None


def run(arguments: argparse.Namespace) -> int:
    """Average the files."""
    from dataclasses import replace  # here and below, since --help needs none of it

    from ptzip.render.average import lines, warnings  # as above

    results, name = Results("average", arguments.json), arguments.output
    try:
        if sum(map(is_stdin, arguments.files)) > 1:
            raise ptzip.EditError("stdin is one file: it can be averaged with others, and named once")
        with output_path(arguments.output) as path:
            report = _averaged(arguments, path or "")
            if arguments.output == STANDARD:
                report = replace(report, output=STANDARD)
            results.add(name, report.to_dict, () if arguments.quiet else lines(report), 0, list(warnings(report)))
            return results.end()
    except (ptzip.PtzipError, OSError, ValueError) as error:
        results.fail(name, error)
    return results.end()


def _averaged(arguments: argparse.Namespace, output: str) -> "ptzip.AverageReport":
    with Bar(arguments.files[:1], arguments) as bar:
        return ptzip.average(
            [source(name) for name in arguments.files],
            output,
            overwrite=arguments.force,
            weights=arguments.weights,
            precision=arguments.precision,
            integers=arguments.integers,
            sync=not arguments.no_sync,
            progress=bar.next(),
            limits=arguments.limits,
        )
