"""The opcodes of a pickle, one row each, with what they stand for where the stream itself does not say it.

Rule: what is said of an opcode is what the machine of `pickling` found at that place, so no fetch and no computed name can make
the two differ.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import FormatError
from ptzip.formats.container import Part
from ptzip.io.payloads import read_all
from ptzip.io.sources import Stream
from ptzip.pickling.nodes import Call, Global, Node, Pickle
from ptzip.pickling.opcodes import BY_CODE
from ptzip.tensors.references import storage_ref

SPELLED = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING", "STRING", "UNICODE"})
GETS, PUTS = frozenset({"GET", "BINGET", "LONG_BINGET"}), frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
TOLD = frozenset({"GLOBAL"})
"""What names in its argument all that it stands for."""


class Line(NamedTuple):
    """One opcode: its place in the part, its argument, and what it stands for ("" where that is plain)."""

    offset: int
    op: str
    argument: object
    meaning: str


def lines(checkpoint: Checkpoint, part: Part) -> Iterator[Line]:
    """The opcodes of a part, up to where it breaks."""
    stream: Stream = read_all(part.record) if part.record else checkpoint.content.whole()
    known = _known(part.pickle)
    memo: dict[int, str] = {}
    last = ""
    for offset, op, argument in _walk(stream, part.pickle):
        meaning = known.get(offset, "")
        if op in GETS:
            meaning = last = memo.get(_slot(argument), "")
        elif op in PUTS or op == "MEMOIZE":
            memo[len(memo) if op == "MEMOIZE" else _slot(argument)] = last
        else:
            last = meaning or (repr(argument) if op in SPELLED else "")
        yield Line(offset, op, argument, "" if op in TOLD else meaning)


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


def _known(pickle: Pickle) -> dict[int, str]:
    """What the calls, names and persistent ids of a stream are, by their place."""
    found: dict[int, str] = {}
    for node in (*pickle.calls, *pickle.persistents):
        found[node.offset] = _said(node)
    return found


def _said(node: Node) -> str:
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
    """The memo slot that an opcode names; -1 for a text that is no number, at which the stream breaks."""
    try:
        return int(argument) if isinstance(argument, int | bytes) else -1
    except ValueError:
        return -1
