"""Whether bytes begin like a pickle, which has no mark of its own below protocol 2.

Rule: chance makes no names, so bytes are taken for a pickle where they have a loader import something, or where they begin
with PROTO and are a whole one; nothing is read beyond the point at which they cannot be one any more.
"""

import re

from ptzip.limits import Limits
from ptzip.pickling.nodes import Call, Global, Pickle
from ptzip.pickling.opcodes import BY_CODE, BY_NAME, HIGHEST_PROTOCOL
from ptzip.pickling.unpickler import read_seen
from ptzip.security import harm
from ptzip.source import Source

PROTO = BY_NAME["PROTO"].code
HEADS = (512, 1 << 14, 1 << 20)
"""How many bytes are tried, as long as they may still be a pickle."""

IDENTIFIER = re.compile(r"[A-Za-z_]\w*(\.\w+)*\Z")


def starts_pickle(head: bytes) -> bool:
    """Whether the first byte is PROTO with a protocol that there is."""
    return len(head) > 1 and head[0] == PROTO and head[1] <= HIGHEST_PROTOCOL


def begins_opcode(head: bytes) -> bool:
    """Whether the first byte is an opcode, as that of a pickle of protocol 0 or 1 is."""
    return len(head) > 1 and head[0] in BY_CODE


def likely_pickle(source: Source, limits: Limits, thorough: bool = False) -> Pickle | None:
    """The pickle that bytes begin with, or None; of a long one no more than its beginning, unless `thorough` asks for all."""
    for size in (*HEADS, source.size) if thorough else HEADS:
        head = source.read(0, min(size, source.size))
        if not starts_pickle(head) and not begins_opcode(head):
            return None
        pickle = read_seen(head, 0, limits)
        if does_something(pickle) or (pickle.root is not None and starts_pickle(head)):
            return pickle if len(head) == source.size or pickle.root is not None else _whole(source, limits)
        if pickle.root is not None or size >= source.size or not _runs_out(pickle, len(head)):
            return None
    return None


def _whole(source: Source, limits: Limits) -> Pickle:
    return read_seen(source.read(0, min(source.size, HEADS[-1])), 0, limits)


def does_something(pickle: Pickle) -> bool:
    """Whether it has a loader import what can be a name, and it is whole, calls something, or the name is one to fear: the
    first two lines of many a text would do for an import alone."""
    names = [node for node in pickle.calls if isinstance(node, Global) and _can_be_one(node)]
    is_more = pickle.root is not None or any(isinstance(node, Call) for node in pickle.calls)
    return bool(names) and (is_more or any(harm.of_name(node.module, node.name) for node in names))


def _can_be_one(node: Global) -> bool:
    return bool(IDENTIFIER.match(node.module) and IDENTIFIER.match(node.name))


def _runs_out(pickle: Pickle, size: int) -> bool:
    """Whether a pickle broke only because no more bytes were given."""
    last = pickle.anomalies[-1].message if pickle.anomalies else ""
    return "ends without STOP" in last or "ends inside" in last or "reaches past" in last
