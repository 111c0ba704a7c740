"""`ptzip diff A B`: compare two checkpoints."""

import argparse

import ptzip
from ptzip.cli.printing import as_json, complain, message, renames, show
from ptzip.json_output import error_dict

USAGE = """ptzip diff [-h] [--map OLD=NEW] [--rtol R] [--atol R] [--all] [-q] [--json] A B
       ptzip diff --git PATH OLD HEX MODE NEW HEX MODE"""

DESCRIPTION = (
    "Compare the objects of two checkpoints path by path, and their tensors number by number, in any formats. Exit code 0 if "
    "nothing differs, 1 if something does, 2 if a file or a tensor could not be compared."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = USAGE
    parser.add_argument("files", nargs="*", metavar="A B", help="checkpoints to compare: before and after")
    renames = "compare names of A that begin with OLD with those of B that begin with NEW, as in ema=model"
    parser.add_argument("--map", action="append", metavar="OLD=NEW", default=[], help=renames)
    near = "a and b are equal if |a - b| <= ATOL + RTOL * |b|"
    parser.add_argument("--rtol", type=float, metavar="R", default=0.0, help=f"{near} (default: 0)")
    parser.add_argument("--atol", type=float, metavar="R", default=0.0, help="as above (default: 0)")
    parser.add_argument("--all", action="store_true", help="print every tensor and value that differs")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; only set the exit code")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    driver = "the arguments of a git diff driver, after all other flags; the exit code is 0"
    parser.add_argument("--git", nargs=argparse.REMAINDER, metavar="...", help=driver)


def run(arguments: argparse.Namespace) -> int:
    """Compare two files."""
    if arguments.git is not None:
        from ptzip.cli.gitdiff import show_change  # here, since only git asks for it

        return show_change(arguments.git, lambda old, new: compared(old, new, arguments), lambda it: spelled(it, arguments))
    if len(arguments.files) != 2:
        complain(
            "error", f"diff compares 2 files, but {len(arguments.files)} {'is' if len(arguments.files) == 1 else 'are'} given"
        )
        return 2
    old, new = arguments.files
    try:
        report = compared(old, new, arguments)
    except (ptzip.PtzipError, OSError, ValueError) as error:
        fault = _at_fault(old, new)
        complain("error", f"{fault}: {message(error, fault)}")
        if arguments.json:
            show(as_json(error_dict(message(error, fault), a=old, b=new)))
        return 2
    if not arguments.quiet:
        show(spelled(report, arguments))
    return 0 if report.ok else 1 if report.differs else 2


def compared(a: str, b: str, arguments: argparse.Namespace) -> ptzip.DiffReport:
    return ptzip.diff(a, b, rename=renames(arguments.map), rtol=arguments.rtol, atol=arguments.atol)


def _at_fault(old: str, new: str) -> str:
    """The file that cannot be read, or both where each can be."""
    for file in (old, new):
        try:
            with ptzip.open(file) as checkpoint:
                checkpoint.tensors()
        except (ptzip.PtzipError, OSError):
            return file
    return f"{old} and {new}"


def spelled(report: ptzip.DiffReport, arguments: argparse.Namespace) -> str:
    """A report as it is printed."""
    from ptzip.render.diff import lines  # here, since --help needs none of it

    return as_json(report.to_dict()) if arguments.json else "\n".join(lines(report, arguments.all))
