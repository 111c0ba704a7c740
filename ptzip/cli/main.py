"""The command line: argv to a command's `run`, its result to an exit code.

Exit codes: 0 done or clean, 1 findings or differences, 2 could not do it. Only `cli` prints and exits, and only the command
that is run is loaded.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import ptzip
from ptzip.cli.printing import complain, spell_everything


class Command(NamedTuple):
    """A command: its module in `cli`, which has `DESCRIPTION`, `configure(parser)` and `run(arguments) -> exit code`."""

    name: str
    summary: str


COMMANDS = (
    Command("slim", "make a training checkpoint small"),
    Command("inspect", "show the contents of a checkpoint and the size of each part"),
    Command("scan", "check whether a checkpoint is safe to load"),
    Command("verify", "check a checkpoint's integrity"),
    Command("diff", "compare two checkpoints"),
    Command("repair", "recover a truncated or damaged checkpoint"),
    Command("convert", "export tensors to safetensors, npz or a plain state dict"),
)

NARROW = functools.partial(argparse.HelpFormatter, width=80)
"""argparse formats each flag when it is added; finding the width of the terminal for that takes imports."""

FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _arguments(words)
    spell_everything()
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # the commands report those about files
        complain("error", f"the report could not be printed: {(error.strerror or str(error)).lower()}")
        return FAILED
    return code


def _arguments(words: list[str]) -> argparse.Namespace:
    """The parsed words; ends the process for help, for the version, and where the words are wrong."""
    words = words or ["--help"]
    if words[0] == "help":
        words = [*words[1:2], "--help"]
    if words[0] not in [command.name for command in COMMANDS]:
        _show_overview(words)
    parser = argparse.ArgumentParser(prog=f"ptzip {words[0]}", formatter_class=NARROW)
    _configure(parser, words[0])
    parser.formatter_class = argparse.HelpFormatter
    return parser.parse_args(words[1:])


def _limit(word: str) -> dict[str, int]:
    """A word NAME=N, which must name a limit."""
    from ptzip.arguments import byte_count  # here, since few runs raise a limit
    from ptzip.limits import limits_from  # as above

    name, _, number = word.partition("=")
    try:
        given = {name: byte_count(number)}
        limits_from(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return given


class _AddLimit(argparse.Action):
    """Collects the limits that several flags set."""

    def __call__(self, _parser: object, found: argparse.Namespace, given: Any, _flag: object = None) -> None:
        found.limits = {**found.limits, **given}


def _show_overview(words: list[str]) -> NoReturn:
    """Handle words that name no command: help, the version, or an error."""
    parser = argparse.ArgumentParser(
        prog="ptzip",
        description="Inspect PyTorch checkpoints and make them small, without torch. No code in a file is ever run.",
        epilog="`ptzip COMMAND --help` shows the flags of a command. Exit codes: 0 done or clean, 1 findings, 2 failed.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"ptzip {ptzip.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.summary)
    if not words[0].startswith("-"):
        from difflib import get_close_matches  # here, since few commands are misspelled

        names = [command.name for command in COMMANDS]
        similar = get_close_matches(words[0], names, n=1)
        hint = f"did you mean {similar[0]}?" if similar else f"expected one of {', '.join(names)}"
        parser.error(f"there is no command {words[0]!r}: {hint}")
    parser.parse_args(words)
    parser.error(f"expected a COMMAND before {words[0]}")


def _configure(parser: argparse.ArgumentParser, wanted: str) -> None:
    """Load a command; every other one would take its time to load for nothing."""
    if wanted == "slim":
        from ptzip.cli import slim as command  # here and below: only the command that runs is loaded
    elif wanted == "inspect":
        from ptzip.cli import inspect as command  # type: ignore[no-redef]  # as above
    elif wanted == "scan":
        from ptzip.cli import scan as command  # type: ignore[no-redef]  # as above
    elif wanted == "verify":
        from ptzip.cli import verify as command  # type: ignore[no-redef]  # as above
    elif wanted == "diff":
        from ptzip.cli import diff as command  # type: ignore[no-redef]  # as above
    elif wanted == "repair":
        from ptzip.cli import repair as command  # type: ignore[no-redef]  # as above
    else:
        from ptzip.cli import convert as command  # type: ignore[no-redef]  # as above
    parser.description = command.DESCRIPTION
    command.configure(parser)
    bound = "raise a limit that a message names, as in --limit opcodes=50000000; sizes may have a unit: 2GB"
    parser.add_argument("--limit", dest="limits", type=_limit, action=_AddLimit, metavar="NAME=N", default={}, help=bound)
    parser.set_defaults(run=command.run)
