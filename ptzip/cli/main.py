"""The command line: argv to a command's `run`, its result to an exit code.

Exit codes: 0 done or clean, 1 findings or differences, 2 could not do it, 3 malicious (`ptzip help exit-codes`). Only `cli`
prints and exits, and only the command that is run is loaded.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import ptzip
from ptzip.cli.parser import NARROW, Parser, add_common
from ptzip.cli.printing import complain, set_up, show
from ptzip.errors import EditError
from ptzip.render.messages import message
from ptzip.text import did_you_mean


class Command(NamedTuple):
    """A command: its module in `cli`, which has `DESCRIPTION`, `configure(parser)` and `run(arguments) -> exit code`.

    `pages` are those of `ptzip help` that say more than its flags.
    """

    name: str
    summary: str
    pages: tuple[str, ...] = ()


COMMANDS = (
    Command("slim", "make a training checkpoint small", ("slimming", "recipes", "many-files")),
    Command("inspect", "show the parts of a checkpoint and their sizes", ("inspecting", "bytes", "format", "many-files")),
    Command("scan", "check whether a checkpoint is safe to load", ("scanning", "rules", "many-files")),
    Command("verify", "check a checkpoint's integrity", ("verifying", "many-files")),
    Command("diff", "compare two checkpoints", ("diffing",)),
    Command("repair", "recover a truncated or damaged checkpoint", ("repairing",)),
    Command("convert", "export tensors to safetensors, npz or a plain state dict", ("converting",)),
    Command("average", "average the weights of several checkpoints", ("averaging",)),
)
COMPLETION = Command("completion", "print a script that completes commands in a shell")
NAMES = tuple(command.name for command in COMMANDS)

SYNONYMS = {
    **dict.fromkeys(("info", "show", "ls", "list", "view", "cat", "dump", "tree"), "inspect"),
    **dict.fromkeys(("strip", "compress", "shrink", "optimize", "half", "minify"), "slim"),
    **dict.fromkeys(("check", "test", "validate"), "verify"),
    **dict.fromkeys(("compare", "cmp"), "diff"),
    **dict.fromkeys(("fix", "recover", "salvage"), "repair"),
    **dict.fromkeys(("export", "save"), "convert"),
    **dict.fromkeys(("mean", "soup", "merge", "swa"), "average"),
    "extract": "inspect --extract",
    "version": "--version",
}
"""What other tools call it."""

FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names."""
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return INTERRUPTED
    except EditError as error:  # those about single files are reported by the commands
        complain("error", str(error))
        return FAILED
    except OSError as error:  # as above
        complain("error", f"the output could not be written: {message(error, '')}")
        return FAILED


def _run(words: list[str]) -> int:
    if words[:1] == ["help"] and words[1:] and words[1] not in (*NAMES, COMPLETION.name):
        return _show_topic(words[1])
    arguments = _arguments(words)
    set_up(arguments.color)
    code: int = arguments.run(arguments)
    return code


def _arguments(words: list[str]) -> argparse.Namespace:
    """The parsed words; ends the process for help, for the version, and where the words are wrong."""
    words = words or ["--help"]
    if words[0] == "help":
        words = [*words[1:2], "--help"]
    if words[0] not in (*NAMES, COMPLETION.name):
        _show_overview(words)
    parser = Parser(prog=f"ptzip {words[0]}", formatter_class=NARROW, epilog=_more(words[0]))
    _configure(parser, words[0])
    return parser.parse_args(words[1:])


def _more(name: str) -> str | None:
    """What follows the flags of a command: the pages about it."""
    pages = next((command.pages for command in COMMANDS if command.name == name), ())
    return f"More: {', '.join(f'ptzip help {page}' for page in pages)}." if pages else None


def _show_topic(topic: str) -> int:
    """Print a page of `ptzip/help`."""
    from ptzip.render.topics import page  # here, since most runs show no page

    try:
        show(page(topic, NAMES))
    except ValueError as error:
        complain("error", str(error))
        return FAILED
    return 0


def _show_overview(words: list[str]) -> NoReturn:
    """Handle words that name no command: help, the version, or an error."""
    parser, commands = _overview()
    for command in (*COMMANDS, COMPLETION):
        commands.add_parser(command.name, help=command.summary)
    if not words[0].startswith("-"):
        parser.error(f"there is no command {words[0]!r}{_hint(words[0])}")
    if meant := next((word for word in words if word in NAMES), ""):
        parser.error(f"flags follow the command: ptzip {meant} {words[0]}")
    parser.parse_args(words)
    parser.error(f"expected a COMMAND before {words[0]}")


def _hint(word: str) -> str:
    """What was probably meant by a word that is no command."""
    if os.path.exists(word):
        return f" (did you mean ptzip inspect {word}, or ptzip slim {word}?)"
    if word in SYNONYMS:
        return f" (did you mean {SYNONYMS[word]}?)"
    return did_you_mean(word, NAMES) or f": expected one of {', '.join(NAMES)}"


def _overview() -> tuple[Parser, "argparse._SubParsersAction[Parser]"]:
    """The parser above all commands, and what they are added to."""
    parser = Parser(
        prog="ptzip",
        description="Inspect PyTorch checkpoints and make them small, without torch. No code in a file is ever run.",
        epilog="`ptzip help COMMAND` shows the flags of a command, `ptzip help topics` what else there is to read. "
        "Exit codes: 0 done or clean, 1 findings, 2 failed, 3 malicious.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"ptzip {ptzip.__version__}")
    return parser, parser.add_subparsers(metavar="COMMAND", required=True)


def _show_completion(arguments: argparse.Namespace) -> int:
    from ptzip.cli.completion import script  # here, since it needs every command

    parser, commands = _overview()
    for command in COMMANDS:
        _configure(commands.add_parser(command.name, help=command.summary), command.name)
    show(script(parser, arguments.shell))
    return 0


def _configure(parser: Parser, name: str) -> None:
    """Add the flags of a command, with only this command loaded: every other one would take its time for nothing."""
    if name == "slim":
        from ptzip.cli import slim as command  # here and below: only the command that runs is loaded
    elif name == "inspect":
        from ptzip.cli import inspect as command  # type: ignore[no-redef]  # as above
    elif name == "scan":
        from ptzip.cli import scan as command  # type: ignore[no-redef]  # as above
    elif name == "verify":
        from ptzip.cli import verify as command  # type: ignore[no-redef]  # as above
    elif name == "diff":
        from ptzip.cli import diff as command  # type: ignore[no-redef]  # as above
    elif name == "repair":
        from ptzip.cli import repair as command  # type: ignore[no-redef]  # as above
    elif name == "convert":
        from ptzip.cli import convert as command  # type: ignore[no-redef]  # as above
    elif name == "average":
        from ptzip.cli import average as command  # type: ignore[no-redef]  # as above
    else:
        from ptzip.cli import completion as command  # type: ignore[no-redef]  # as above
    parser.description = command.DESCRIPTION
    command.configure(parser)
    parser.usage = parser.usage or _short_usage(parser)
    add_common(parser)
    parser.set_defaults(run=_show_completion if name == COMPLETION.name else command.run)


def _short_usage(parser: Parser) -> str:
    """The usage of a command without the flags that may be left out, of which the lines below have one each."""
    flags = [
        f"{action.option_strings[0]} {action.metavar}"
        for action in parser._actions
        if action.option_strings and action.required
    ]
    words = [
        f"{action.metavar or action.dest}{'...' if action.nargs in ('+', '*') else ''}"
        for action in parser._actions
        if not action.option_strings
    ]
    return " ".join(("%(prog)s [options]", *words, *flags))
