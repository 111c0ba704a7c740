"""The opcodes of a pickle, one line each, with their meaning where the opcode itself does not show it.

The meaning is what the machine of `pickling` found at that offset, so a memo fetch or a computed name cannot make the two
disagree.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import FormatError
from ptzip.formats.container import Part
from ptzip.io.payloads import read_all
from ptzip.io.streams import Stream
from ptzip.pickling.nodes import Call, Global, Node, Pickle
from ptzip.pickling.opcodes import BY_CODE
from ptzip.tensors.references import storage_ref

STRINGS = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING", "STRING", "UNICODE"})
GETS, PUTS = frozenset({"GET", "BINGET", "LONG_BINGET"}), frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
SELF_EXPLAINING = frozenset({"GLOBAL"})
"""Opcodes whose argument is all of their meaning."""


class OpcodeLine(NamedTuple):
    """One opcode: its offset in the part, its argument, and its meaning ("" where the argument shows it)."""

    offset: int
    op: str
    argument: object
    meaning: str


def opcode_lines(checkpoint: Checkpoint, part: Part) -> Iterator[OpcodeLine]:
    """The opcodes of a part, up to where it breaks."""
    stream: Stream = read_all(part.record) if part.record else checkpoint.content.whole()
    known = {node.offset: _meaning(node) for node in (*part.pickle.calls, *part.pickle.persistents)}
    memo: dict[int, str] = {}
    last = ""
    for offset, op, argument in _walk(stream, part.pickle):
        meaning = known.get(offset, "")
        if op in GETS:
            meaning = last = memo.get(_slot(argument), "")
        elif op in PUTS or op == "MEMOIZE":
            memo[len(memo) if op == "MEMOIZE" else _slot(argument)] = last
        else:
            last = meaning or (repr(argument) if op in STRINGS else "")
        yield OpcodeLine(offset, op, argument, "" if op in SELF_EXPLAINING else meaning)


def _walk(stream: Stream, pickle: Pickle) -> Iterator[tuple[int, str, Any]]:
    at = pickle.start
    while at < pickle.end or (pickle.root is None and at <= pickle.end):
        row = BY_CODE.get(stream[at]) if at < len(stream) else None
        if row is None:
            return
        try:
            argument, end = row.argument.read(stream, at + 1)
        except FormatError:
            return
        yield at, row.name, argument
        at = end


def _meaning(node: Node) -> str:
    """The meaning of a call, a name or a persistent id; "" for any other node."""
    if isinstance(node, Global):
        return node.path
    if isinstance(node, Call):
        return f"{node.path or '?'}(...)"
    try:
        storage = storage_ref(node)
    except FormatError:
        return ""
    return f"storage {storage.key}: {storage.numel} x {storage.dtype.name} on {storage.location}" if storage else ""


def _slot(argument: object) -> int:
    """The memo slot in the argument of an opcode; -1 for text that is not a number, where the stream breaks."""
    try:
        return int(argument) if isinstance(argument, int | bytes) else -1
    except ValueError:
        return -1
