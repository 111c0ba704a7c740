"""The command line: argv to a command's `run`, its result to an exit code.

Exit codes: 0 done or clean, 1 findings or differences, 2 could not do it. Rule: only `cli` prints and exits, and only the
command that is run is loaded.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

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
"""While flags are added, each is formatted for a check; to ask the terminal for its width takes imports."""

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
    """What the words say; ends the process where they ask for help or are wrong."""
    if not words or words[0] not in [command.name for command in COMMANDS]:
        _show_overview(words)
    parser = argparse.ArgumentParser(prog=f"ptzip {words[0]}", formatter_class=NARROW)
    _configure(parser, words[0])
    parser.formatter_class = argparse.HelpFormatter
    return parser.parse_args(words[1:])


def _show_overview(words: list[str]) -> NoReturn:
    """Show what `ptzip --help` shows; only this builds the parsers of all commands."""
    parser = argparse.ArgumentParser(
        prog="ptzip",
        description="Inspect PyTorch checkpoints and make them small, without torch. No code in a file is ever run.",
        epilog="`ptzip COMMAND --help` shows the flags of a command. Exit codes: 0 done or clean, 1 findings, 2 failed.",
    )
    parser.add_argument("--version", action="version", version=f"ptzip {ptzip.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.summary)
    parser.parse_args(words)
    parser.error(f"the first word has to be a COMMAND, not {words[0]}")


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
    parser.set_defaults(run=command.run)
