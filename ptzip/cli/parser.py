"""The parser of a command: argparse that names the nearest word where one is misspelled, and the flags of all commands."""

import argparse
import contextlib
import functools
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ptzip.cli.printing import complain, show
from ptzip.io.urls import is_url, redacted
from ptzip.text import did_you_mean

if TYPE_CHECKING:
    from ptzip.cli.batch.shard import Shard

NARROW = functools.partial(argparse.HelpFormatter, width=80)
"""argparse formats each flag when it is added; finding the width of the terminal for that takes imports."""


FAILED = 2
"""The exit code for a wrong command line."""

OBJECT_OF_STDIN = "-::"
"""How the name of an object in stdin begins, as in `-::model`."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the flag or the choice that was probably meant, and where to read on."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: .*?(--?[\w-]+)", message)
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        complain("error", message + (did_you_mean(unknown[1], flags) if unknown else ""))
        tool, *command = self.prog.split()
        self.exit(FAILED, f"see `{' '.join((tool, 'help', *command))}`\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; argparse keeps quiet about an OSError."""
        if message and file is not None and file is sys.stdout:
            show(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)

    def _parse_optional(self, word: str) -> Any:
        """What argparse makes of a word that may be a flag; None for one that is none."""
        return None if word.startswith(OBJECT_OF_STDIN) else super()._parse_optional(word)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), known)
            raise argparse.ArgumentError(action, f"invalid choice: {value!r} (choose from {', '.join(known)}){hint}")


class Paths(argparse._StoreAction):
    """Stores paths, and in place of a pattern like `runs/**/*.pt` those that match it: some shells leave patterns to programs,
    and none expands more than a command line can hold.

    Only `*` and `?` count, and `**` for any folders; a pattern without a file stays as it is, as in most shells.
    """

    def __call__(self, parser: Any, found: argparse.Namespace, given: Any, flag: str | None = None) -> None:
        super().__call__(parser, found, [path for word in given for path in expanded(word)], flag)


def expanded(word: str) -> list[str]:
    """The sorted paths that match a pattern, or the word itself, as where it is the name of a file."""
    if ("*" not in word and "?" not in word) or os.path.lexists(word):
        return [word]
    from glob import glob  # here, since few words are patterns

    return sorted(glob(word.replace("[", "[[]"), recursive=True)) or [word]


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all commands have; help then has the width of the terminal."""
    bound = "raise a limit that a message names, as in --limit opcodes=50000000; sizes may have a unit: 2GB"
    parser.add_argument("--limit", dest="limits", type=_limit, action=_AddLimit, metavar="NAME=N", default={}, help=bound)
    colour = "colour the words that judge a file (default: on a terminal, unless NO_COLOR is set)"
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help=colour)
    parser.formatter_class = argparse.HelpFormatter


def count(word: str) -> int:
    """A whole number for a flag, 0 or more."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"invalid number {word!r}: expected 0 or more")
    return int(word)


def seconds(word: str) -> float:
    """A positive number of seconds for a flag."""
    with contextlib.suppress(ValueError):
        if 0 < (found := float(word)) < math.inf:
            return found
    raise argparse.ArgumentTypeError(f"invalid number of seconds {word!r}: expected one above 0")


def local_file(word: str) -> str:
    """A file that no command opens at a URL, for a flag."""
    if is_url(word):
        raise argparse.ArgumentTypeError(f"{redacted(word)} is a URL: expected a file on this machine")
    return word


def byte_size(word: str) -> int:
    """A size in bytes for a flag, such as 2GB."""
    from ptzip.arguments import byte_count  # here and below, since few runs need them

    try:
        return byte_count(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def part(word: str) -> "Shard":
    """A part I/N of many files for a flag."""
    from ptzip.cli.batch.shard import shard  # as above

    try:
        return shard(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _limit(word: str) -> dict[str, int]:
    """A word NAME=N, which must name a limit."""
    from ptzip.arguments import byte_count  # here, since few runs raise a limit
    from ptzip.limits import Limits, limits_from  # as above

    name, _, number = word.partition("=")
    try:
        given = {name: byte_count(number)}
        limits_from(given)
    except ValueError as error:
        hint = "" if name in Limits._fields else did_you_mean(name, Limits._fields)
        raise argparse.ArgumentTypeError(f"{error}{hint}") from error
    return given


class _AddLimit(argparse.Action):
    """Collects the limits that several flags set."""

    def __call__(self, _parser: object, found: argparse.Namespace, given: Any, _flag: object = None) -> None:
        found.limits = {**found.limits, **given}
