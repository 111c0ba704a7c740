"""Writes nodes as opcodes.

A node is written as it was read: parts, opcode, then its steps in order. An unedited pickle is therefore written back byte
for byte. A memoized node is defined at its first visit and fetched at every later one, so removing the subtree that used to
define it needs no special case.
"""

from collections.abc import Iterator

from ptzip.errors import EditError
from ptzip.pickling.frames import framed
from ptzip.pickling.memo import WriterMemo
from ptzip.pickling.nodes import MARKED, PUTS, Detour, Node, Pickle, Step
from ptzip.pickling.opcodes import BARE, encode


def write_pickle(pickle: Pickle) -> bytes:
    """The stream that rebuilds `pickle`; if nothing was edited, byte for byte the one it was read from.

    Raises EditError if the stream has anomalies and therefore cannot be reproduced.
    """
    if pickle.anomalies or pickle.root is None:
        message, offset = pickle.anomalies[0][1:3] if pickle.anomalies else ("it has no root", None)
        raise EditError(f"the pickle cannot be rewritten: {message}", offset)
    ops = _encoded(pickle, pickle.root)
    if pickle.frames:
        return b"".join(framed([*ops], pickle.frames))
    stream = bytearray()
    for op in ops:  # `join` would hold millions of pieces, ten times the memory of the stream
        stream += op
    return bytes(stream)


Part = Node | bytes | tuple[Node, Step]
"""Pending work: a node to write, an encoded opcode, or a memo put of a node."""


def _encoded(pickle: Pickle, root: Node) -> Iterator[bytes]:
    """Every opcode with its argument."""
    if pickle.protocol is not None:
        yield encode("PROTO", pickle.protocol)
    memo = WriterMemo(pickle)
    pending: list[Part] = [BARE["STOP"], root]  # an explicit stack, since nesting has no limit
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            yield item
        elif isinstance(item, tuple):
            yield memo.put(*item)
        elif (slot := memo.slots.get(id(item))) is not None:
            yield memo.get(slot)
        else:
            memo.check(item)
            pending += _parts(item)[::-1]


def _parts(node: Node) -> list[Part]:
    if isinstance(node, Detour):
        ops = [BARE[name] for name in node.op.split()]
        start = 1 if ops[0] == BARE["MARK"] else 0
        return [*ops[:start], *node.parts[:-1], *ops[start:], node.parts[-1]]
    parts: list[Part] = [BARE["MARK"]] if node.op in MARKED else []
    parts += node.parts
    parts.append(encode(node.op, node.arg))
    for step in node.steps:
        if step.op in PUTS:
            parts.append((node, step))
            continue
        if step.op in MARKED:
            parts.append(BARE["MARK"])
        parts += step.items
        parts.append(encode(step.op, step.arg))
    return parts
