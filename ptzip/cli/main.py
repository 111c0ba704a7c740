"""The command line: argv to a command's `run`, its result to an exit code.

Exit codes: 0 done or clean, 1 findings or differences, 2 could not do it. Rule: only `cli` prints and exits.
"""

import argparse
from collections.abc import Sequence

import ptzip
from ptzip.cli import inspect, slim
from ptzip.cli.printing import complain, spell_everything

COMMANDS = (slim, inspect)
"""One module for each command: `NAME`, `SUMMARY`, `configure(parser)` and `run(arguments) -> exit code`."""

FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names."""
    arguments = _parser().parse_args(argv)
    spell_everything()
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # those about files are told by the command
        complain("error", f"the report could not be printed: {(error.strerror or str(error)).lower()}")
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ptzip",
        description="Look into PyTorch checkpoints and make them small, without torch. No code of a file is ever run.",
        epilog="`ptzip COMMAND --help` shows the flags of a command. Exit codes: 0 done, 2 could not do it.",
    )
    parser.add_argument("--version", action="version", version=f"ptzip {ptzip.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        below = commands.add_parser(command.NAME, help=command.SUMMARY, description=command.DESCRIPTION)
        command.configure(below)
        below.set_defaults(run=command.run)
    return parser
