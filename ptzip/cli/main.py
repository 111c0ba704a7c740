"""The command line: argv to a command's `run`, its result to an exit code.

Exit codes: 0 done or clean, 1 findings or differences, 2 could not do it. Rule: only `cli` prints and exits.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

import ptzip
from ptzip.cli import slim

COMMANDS = (slim,)
"""One module for each command: `NAME`, `SUMMARY`, `configure(parser)` and `run(arguments) -> exit code`."""

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ptzip",
        description="Make PyTorch checkpoints small, without torch. No code of a file is ever run.",
        epilog="`ptzip COMMAND --help` shows the flags of a command. Exit codes: 0 done, 2 could not do it.",
    )
    parser.add_argument("--version", action="version", version=f"ptzip {ptzip.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        below = commands.add_parser(command.NAME, help=command.SUMMARY, description=command.DESCRIPTION)
        command.configure(below)
        below.set_defaults(run=command.run)
    return parser
