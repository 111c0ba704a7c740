"""Whether bytes begin like a pickle, which has no mark of its own below protocol 2.

Rule: chance makes no names, so bytes are taken for a pickle where they have a loader import something, or where they begin
with PROTO and are a whole one; nothing is read beyond the point at which they cannot be one any more.
"""

import re
from collections.abc import Callable

from ptzip.formats.signatures import begins_pickle
from ptzip.io.sources import Source, Stream
from ptzip.pickling.nodes import Call, Global, Pickle
from ptzip.pickling.opcodes import BY_CODE
from ptzip.pickling.reader import CUT, LIMIT
from ptzip.scanning import dangerous_names as harm

Read = Callable[[Stream, int], Pickle]
"""Reads the pickle that begins at a byte."""

HEADS = (512, 1 << 14, 1 << 20)
"""How many bytes are tried, as long as they may still be a pickle."""

IDENTIFIER = re.compile(r"[A-Za-z_]\w*(\.\w+)*\Z")


def begins_opcode(head: bytes) -> bool:
    """Whether the first byte is an opcode, as that of any pickle is."""
    return len(head) > 1 and head[0] in BY_CODE


def likely_pickle(source: Source, read: Read, thorough: bool = False) -> Pickle | None:
    """The pickle that bytes begin with, or None; of a long one no more than its beginning, unless `thorough` asks for all."""
    for size in (*HEADS, source.size) if thorough else HEADS:
        head = source.read(0, min(size, source.size))
        if not begins_opcode(head):
            return None
        pickle = read(head, 0)
        is_whole = pickle.root is not None or size >= source.size
        if does_something(pickle) or (pickle.root is not None and begins_pickle(head)):
            return pickle if is_whole else read(source.read(0, source.size if thorough else min(source.size, HEADS[-1])), 0)
        if is_whole or not _runs_on(pickle):
            return None
    return None


def may_be_pickle(source: Source, read: Read) -> bool:
    """Whether bytes are worth being read whole: their beginning is a pickle, or not yet none."""
    for size in HEADS:
        head = source.read(0, min(size, source.size))
        pickle = read(head, 0)
        if pickle.root is not None or does_something(pickle):
            return True
        if size >= source.size or not _runs_on(pickle):
            return False
    return True


def does_something(pickle: Pickle) -> bool:
    """Whether it has a loader import what can be a name, and it is whole, calls something, or the name is one to fear: the
    first two lines of many a text would do for an import alone."""
    names = [node for node in pickle.calls if isinstance(node, Global) and _can_be_one(node)]
    is_more = pickle.root is not None or any(isinstance(node, Call) for node in pickle.calls)
    return bool(names) and (is_more or any(harm.of_name(node.module, node.name) for node in names))


def _can_be_one(node: Global) -> bool:
    return bool(IDENTIFIER.match(node.module) and IDENTIFIER.match(node.name))


def _runs_on(pickle: Pickle) -> bool:
    """Whether a pickle broke only because no more bytes were given."""
    return bool(pickle.anomalies) and pickle.anomalies[-1].kind in (CUT, LIMIT)
