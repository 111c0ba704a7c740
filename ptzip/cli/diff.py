"""`ptzip diff A B`: compare two checkpoints.

With `--git` it is the command of a git diff driver (gitattributes(5)). Git gives up where its driver fails, so the exit code is
then 0, and what cannot be compared is one line.
"""

import argparse
import os
from collections.abc import Iterator

import ptzip
from ptzip.cli.pages import HELP as PAGE_HELP
from ptzip.cli.parser import Paths
from ptzip.cli.printing import Bar, complain, line_width, renames, show
from ptzip.cli.results import Results
from ptzip.cli.streams import source
from ptzip.io.urls import redacted
from ptzip.render.messages import message
from ptzip.render.words import UNLIMITED, printable

USAGE = """ptzip diff [options] A B
       ptzip diff --git PATH OLD HEX MODE NEW HEX MODE"""

DESCRIPTION = (
    "Compare the objects of two checkpoints path by path, and their tensors number by number, in any formats. Exit code 0 if "
    "nothing differs, 1 if something does, 2 if a file or a tensor could not be compared."
)

NOTHING = frozenset(("/dev/null", os.devnull))
"""What git names in place of a file that is not there, before and after its shell translates it for Windows."""

OLD, NEW, NEW_PATH = 1, 4, 7
"""Indexes of the files in PATH OLD HEX MODE NEW HEX MODE [NEW-PATH WHAT]; a path with conflicts comes as PATH alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = USAGE
    parser.add_argument(
        "files", nargs="*", action=Paths, metavar="A B", help="checkpoints to compare: before and after; - is stdin"
    )
    renames = "compare names of A that begin with OLD with those of B that begin with NEW, as in ema=model"
    parser.add_argument("--map", action="append", metavar="OLD=NEW", default=[], help=renames)
    near = "a and b are equal if |a - b| <= ATOL + RTOL * |b|"
    parser.add_argument("--rtol", type=float, metavar="R", default=0.0, help=f"{near} (default: 0)")
    parser.add_argument("--atol", type=float, metavar="R", default=0.0, help="as above (default: 0)")
    parser.add_argument("-a", "--all", action="store_true", help="print every tensor and value that differs")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; only set the exit code")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--html", metavar="OUT", help=PAGE_HELP)
    driver = "the arguments of a git diff driver, after all other flags; the exit code is 0"
    parser.add_argument("--git", nargs=argparse.REMAINDER, metavar="...", help=driver)


def run(arguments: argparse.Namespace) -> int:
    """Compare two files."""
    if arguments.git is not None:
        return _show_change(arguments.git, arguments)
    if len(arguments.files) != 2:
        complain(
            "error", f"diff compares 2 files, but {len(arguments.files)} {'is' if len(arguments.files) == 1 else 'are'} given"
        )
        return 2
    results, (old, new) = Results("diff", arguments.json), arguments.files
    try:
        report = _compared(old, new, arguments)
        if arguments.html:
            _write_page(report, arguments.html)
    except (ptzip.PtzipError, OSError, ValueError) as error:
        results.fail(_at_fault(old, new, arguments.limits), error)
        return results.end()
    code = 0 if report.ok else 1 if report.differs else 2
    results.add(old, report.to_dict, () if arguments.quiet else _lines(report, arguments), code)
    return results.end()


def _write_page(report: "ptzip.DiffReport", name: str) -> None:
    from ptzip.cli.pages import write_page  # here, since few comparisons are shown so
    from ptzip.render.html.diff import diff_page

    write_page(diff_page(report), name)


def _compared(a: str, b: str, arguments: argparse.Namespace) -> "ptzip.DiffReport":
    prefixes = renames(arguments.map)
    with Bar([a], arguments) as bar:
        return ptzip.diff(
            source(a),
            source(b),
            rename=prefixes,
            rtol=arguments.rtol,
            atol=arguments.atol,
            progress=bar.next(),
            limits=arguments.limits,
        )


def _at_fault(old: str, new: str, limits: dict[str, int]) -> str:
    """The file that cannot be read, or both where each can be."""
    for file in (old, new):
        try:
            with ptzip.open(source(file), limits) as checkpoint:
                checkpoint.tensors()
        except (ptzip.PtzipError, OSError):
            return file
    return f"{redacted(old)} and {redacted(new)}"


def _lines(report: "ptzip.DiffReport", arguments: argparse.Namespace) -> Iterator[str]:
    from ptzip.render.diff import lines  # here, since --help needs none of it

    return lines(report, arguments.all, line_width() or UNLIMITED)


def _show_change(words: list[str], arguments: argparse.Namespace) -> int:
    """Print what differs between two versions of a file. Returns 2 if these are not the arguments that git gives."""
    from dataclasses import replace  # here, since only git asks for it

    if len(words) == 1:
        show(f"{printable(words[0])}: not merged")
        return 0
    if len(words) <= NEW:
        show("ptzip diff --git is for git: PATH OLD HEX MODE NEW HEX MODE")
        return 2
    path, old, new = words[0], words[OLD], words[NEW]
    new_path = words[NEW_PATH] if len(words) > NEW_PATH else path
    try:
        if NOTHING & {old, new}:
            show(_alone(path, old, new, arguments.limits))
        else:
            report = replace(_compared(old, new, arguments), a=f"a/{path}", b=f"b/{new_path}")
            results = Results("diff", arguments.json)
            results.add(path, report.to_dict, _lines(report, arguments))
            results.end()
    except (ptzip.PtzipError, OSError, ValueError) as error:
        show(f"{printable(path)}: not compared: {printable(message(error, path))}")
    return 0


def _alone(path: str, old: str, new: str, limits: dict[str, int]) -> str:
    """A checkpoint that is new or was deleted, in a few words."""
    what, file = ("new", new) if old in NOTHING else ("deleted", old)
    with ptzip.open(file, limits) as checkpoint:
        return f"{printable(path)}: {what}, {checkpoint.format}, {len(checkpoint):,} tensors, {checkpoint.source.size:,} bytes"
