"""What a pickle may do with what is on the allow list: what may be called with what, how large, and with which state.

One `Judge` serves one pickle, for `scan` and `load` alike. Verdicts are kept by the identity of nodes: the same tuple may be
the arguments of any number of calls, and the same dict the state of any number of objects.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from ptzip.allowlist.signatures import LONG_NUMBER, SHORT_NUMBER, SHORT_TEXT, ArgumentCheck, Arguments, Context, MemoryFault
from ptzip.allowlist.table import BASES, FILLED_BY, TRUSTED_CALL, AllowedName, allowed_row
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Pickle,
    Set,
    Tuple,
    item_slots,
    pairs,
    plain,
)
from ptzip.tree.calls import ResolvedCall

T = TypeVar("T")

MOST_COPIED = 1 << 18
"""The items, characters and bytes that calls may copy beyond two for each byte of the pickle: honest calls share nothing."""

MOST_ARGUMENTS = 8
"""Verdicts are kept for longer tuples of arguments; checking a short one is faster than looking for it."""

JOBLIB_WRAPPER = "NumpyArrayWrapper"

DEEPEST = 64
"""How deep a check looks into what it is given."""

_NODES = {Tuple: "tuple", List: "list", Dict: "dict", Global: "name", Persistent: "id"}
_NUMBERS = {int: "int", float: "float", bool: "bool", type(None): "none"}
_LONG = frozenset(("LONG1", "LONG4", "LONG", "INT"))


class Judge:
    """The verdicts on one pickle."""

    def __init__(self, pickle: Pickle) -> None:
        self.discards = any(anomaly.kind == "popped" for anomaly in pickle.anomalies)
        """Whether the pickle creates values that it pops, which may have been used in between."""
        self.copies_left = MOST_COPIED + 2 * (pickle.end - pickle.start)
        self.has_arrays = any(isinstance(node, Global) and node.name == JOBLIB_WRAPPER for node in pickle.calls)
        """Whether there may be array data between the opcodes, which only joblib skips."""
        self.depth = 0
        self._known: dict[tuple[Callable[..., Any], int], Any] = {}
        self._verdicts: dict[tuple[ArgumentCheck, int], tuple[str, int]] = {}

    def once(self, work: Callable[[Context, Any], T], node: Node, otherwise: T) -> T:
        """What a function finds out about a node, `otherwise` inside itself and deeper than `DEEPEST`."""
        key = work, id(node)
        if key in self._known:
            found: T = self._known[key]
            return found
        if self.depth >= DEEPEST:
            return otherwise
        self._known[key] = otherwise
        self.depth += 1
        self._known[key] = found = work(self, node)
        self.depth -= 1
        return found

    def misuse(self, call: ResolvedCall, row: AllowedName) -> str:
        """What is wrong with how an allowed name is called, filled or given a state; "" where a pickler may write it."""
        if call.keywords is not None and (row is not TRUSTED_CALL or not isinstance(call.keywords, Dict)):
            return "with keyword arguments"
        if call.has_computed_arguments:
            return "with arguments that are computed while loading"
        if row.is_instance and call.kind == "call":
            return "by its constructor, where picklers instantiate it without"
        if call.helper and call.arguments:
            return "with arguments, which its pickles do not have"
        if call.kind == "reconstruct":
            base, contents = call.base, plain(call.contents) if call.contents is not None else None
            if not isinstance(base, Global) or base.path not in BASES:
                return "on a base that is none of Python's containers"
            if not isinstance(contents, Atom) and self.kind(contents) not in ("list", "tuple", "set", "dict"):
                return "with contents that are not in the file"
        given = call.node.parts[1] if call.node.op in ("REDUCE", "NEWOBJ", "NEWOBJ_EX") and not call.helper else None
        return self.misused(call.arguments, given, call.node, row)

    def misused(self, arguments: Arguments, given: Node | None, node: Node, row: AllowedName) -> str:
        """The same for a call without helpers, keyword arguments and computed arguments, as nearly all are; `given` is the
        tuple of its arguments.
        """
        if row.check is None:
            return "which is no function or class that pickles call"
        if len(arguments) <= MOST_ARGUMENTS or given is None:
            wrong = row.check(self, arguments)
        else:
            wrong = self._shared(row.check, plain(given))
        if wrong:
            return wrong
        if self.copies_left < 0:
            return "and copies more than is in the file, together with other calls"
        return self._misused_steps(node, row) if node.steps else ""

    def _shared(self, check: ArgumentCheck, given: Node) -> str:
        """The verdict on a tuple of arguments, which other calls may have."""
        key = check, id(given)
        if key not in self._verdicts:
            before = self.copies_left
            self._verdicts[key] = check(self, given.parts), before - self.copies_left
            self.copies_left = before
        wrong, copied = self._verdicts[key]
        self.copies_left -= copied
        return wrong

    def _misused_steps(self, node: Node, row: AllowedName) -> str:
        """What is wrong with what is done to the object: one state at most, and items where it is a container."""
        is_built = False
        for step in node.steps:
            if step.op == "BUILD":
                if not row.state:
                    return "and sets a state, which it does not take"
                if is_built:
                    wrong = "and sets several states"
                    return MemoryFault(wrong) if row.returns in ("dtype", "array") else wrong
                if wrong := row.check_state(self, node, plain(step.items[0])):
                    return wrong
                is_built = True
            elif step.op not in PUTS and step.op not in FILLED_BY.get(row.returns, ()):
                return f"and applies {step.op} to it, which is no such container"
            elif step.op not in PUTS and is_built:
                return "and fills it after its state, in which it may have got another method for that"
        return ""

    def kind(self, node: Node | None) -> str:
        """What a value is: "none", "bool", "int" (64 bits), "float", "long", "text" (parsed quickly), "bytes",
        "list", "tuple", "dict", "set", "name" and "id", for a call what its row says ("unknown" without a row), "huge" and
        "long-text" beyond the limits.
        """
        found = plain(node) if node is not None else None
        if isinstance(found, Atom):
            return _kind_of_atom(found)
        if isinstance(found, Call):
            function = found.function
            row = allowed_row(function.module, function.name) if isinstance(function, Global) else None
            return row.returns if row is not None else "unknown"
        if isinstance(found, Set):
            return "frozenset" if found.op == "FROZENSET" else "set"
        return _NODES.get(type(found), "object") if found is not None else "object"

    def copy(self, node: Node) -> None:
        """Count what a call copies of an argument."""
        found = plain(node)
        if type(found) is Tuple:
            self.copies_left -= len(found.parts)
        elif type(found) is Atom:
            self.copies_left -= _length(self, found)
        elif type(found) not in _UNSIZED and self.kind(found) in _SIZED:
            self.copies_left -= self.once(_length, found, 0)

    def describe(self, node: Node) -> str:
        """An argument in words."""
        kind = self.kind(node)
        return f"a {kind}" if kind not in ("object", "id", "unknown") else "an object"

    def inner(self, function: Global, given: Tuple) -> str:
        """What is wrong with a call that the called function makes, by the row of that."""
        row = allowed_row(function.module, function.name)
        return "with a function that is not called" if row is None or row.check is None else self._shared(row.check, given)


_UNSIZED = frozenset((Global, Persistent))
_SIZED = frozenset(("list", "tuple", "dict", "set", "frozenset", "deque", "text", "long-text", "bytes"))


def _kind_of_atom(node: Atom) -> str:
    if node.op in _LONG and len(node.arg) > SHORT_NUMBER:
        if len(node.arg) > LONG_NUMBER:
            return "huge"
        return "int" if node.value.bit_length() < 8 * SHORT_NUMBER else "long"
    if isinstance(node.arg, str | bytes | bytearray) and len(node.arg) > SHORT_TEXT:
        is_bytes = node.op in ("BINBYTES", "BINBYTES8", "BYTEARRAY8")
        return "bytes" if is_bytes else "long-text"  # also bytes of Python 2, which are not decoded here
    value = node.value
    if isinstance(value, str):
        return "text"
    return _NUMBERS.get(type(value), "bytes")


def _length(judge: Context, node: Node) -> int:
    """The items, characters or bytes of a value: those of the file, and those that calls copied."""
    if isinstance(node, Atom):
        return len(node.arg) if isinstance(node.arg, str | bytes | bytearray) else 0
    if isinstance(node, Tuple):
        return len(node.parts)
    own = sum(1 for _ in item_slots(node)) + sum(1 for _ in pairs(node))
    given = node.arguments[:2] if isinstance(node, Call) else []
    return own + sum(judge.once(_length, plain(argument), 0) for argument in given if judge.kind(argument) in _SIZED)
