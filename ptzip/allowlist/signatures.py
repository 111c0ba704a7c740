"""Signatures: what kinds of arguments an allowed function may be called with.

Nothing that a signature takes returns more than it is given, and what it is given is in the file: a range, an array or a
tensor is of no kind that a container takes. So the result of a call is at most as large as its arguments, which `Judge`
counts, once for each call that shares them.
"""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, Protocol, TypeVar

from ptzip.pickling.nodes import Atom, Global, Node, Tuple, plain
from ptzip.tensors.references import MOST_DIMENSIONS

T = TypeVar("T")


class Context(Protocol):
    """What checks find out about the values of one pickle (`judge.Judge`, which imports this module through the table)."""

    discards: bool
    copies_left: int

    def kind(self, node: Node | None) -> str: ...

    def once(self, work: "Callable[[Context, Any], T]", node: Node, otherwise: T) -> T: ...

    def copy(self, node: Node) -> None: ...

    def describe(self, node: Node) -> str: ...

    def inner(self, function: Global, given: Tuple) -> str: ...


Arguments = Sequence[Node]
ArgumentCheck = Callable[[Context, Arguments], str]
StateCheck = Callable[[Context, Node, Node], str]
"""What is wrong with the state that BUILD gives an object."""


class MemoryFault(str):
    """A fault by which a loader takes bytes of the file for addresses, or reads beyond its memory."""


SHORT_TEXT = 4096
"""The most characters of a text that is parsed, such as a number or a path."""

SHORT_NUMBER = 8
LONG_NUMBER = 2048
"""The most bytes of numbers that count something, and of any number that is computed with."""

GROUPS = {
    "items": "list tuple set frozenset dict deque",
    "number": "bool int float long",
    "atom": "none bool int float long text bytes",
    "str": "text long-text",
    "view": "tensor id unknown",
}
ANY = frozenset(("any",))


def takes(signature: str) -> ArgumentCheck:
    """A check by the kinds of positional arguments, as `Judge.kind` names them: alternatives are separated by "|", "?" marks
    an argument that may be missing, and "*" the last one, which may be repeated.
    """
    words = signature.split()
    parameters = [_kinds(word.rstrip("?*")) for word in words]
    least = sum(word[-1] not in "?*" for word in words)
    last = parameters[-1] if parameters else ANY
    most = MOST_DIMENSIONS if signature.endswith("*") else len(words)

    def check(judge: Context, arguments: Arguments) -> str:
        if not least <= len(arguments) <= most:
            return f"with {len(arguments):,} arguments" if words else "with arguments, which its pickles do not have"
        for argument, kinds in zip(arguments, chain(parameters, repeat(last)), strict=False):
            if kinds is not ANY and judge.kind(argument) not in kinds:
                return f"with {judge.describe(argument)} in place of {signature.replace('|', ' or ')}"
            judge.copy(argument)
        return ""

    return check


def _kinds(word: str) -> frozenset[str]:
    return ANY if word == "any" else frozenset(kind for name in word.split("|") for kind in GROUPS.get(name, name).split())


def weighs(size: int, check: ArgumentCheck) -> ArgumentCheck:
    """The same check of what returns much more than it is given: each call counts as if it copied so many items."""

    def counted(judge: Context, arguments: Arguments) -> str:
        judge.copies_left -= size
        return check(judge, arguments)

    return counted


def word(node: Node, longest: int = 64) -> str:
    """A short text, such as a code or an option; "" for anything else, which is not even decoded."""
    found = plain(node)
    value = found.value if isinstance(found, Atom) and isinstance(found.arg, str | bytes) and len(found.arg) <= longest else ""
    return value if isinstance(value, str) else ""


def integer(node: Node) -> int:
    """An integer of at most 64 bits that is in the file itself; -1 for anything else."""
    found = plain(node)
    is_short = isinstance(found, Atom) and (not isinstance(found.arg, bytes) or len(found.arg) <= 2 * SHORT_NUMBER)
    value = found.value if is_short and isinstance(found, Atom) else None
    return value if isinstance(value, int) and value.bit_length() < 8 * SHORT_NUMBER else -1
