"""`ptzip completion SHELL`: a script with which a shell completes commands, flags, choices and files."""

import argparse

import shtab

from ptzip.cli.parser import Parser

DESCRIPTION = (
    "Print a script that lets a shell complete ptzip's commands, flags, choices and files. For bash: `ptzip completion bash > "
    "~/.local/share/bash-completion/completions/ptzip`; for zsh: `ptzip completion zsh > DIR/_ptzip`, where $fpath has DIR."
)

FILES = frozenset(("A B", "FILE", "FILE[::PATH]", "OUT", "PATH"))
"""How --help calls words that are files."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, metavar="SHELL", help=", ".join(shtab.SUPPORTED_SHELLS))


def script(parser: Parser, shell: str) -> str:
    """The script for a shell, of a parser with all commands."""
    _complete_files(parser)
    return str(shtab.complete(parser, shell))


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_files(command)
        elif action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks
