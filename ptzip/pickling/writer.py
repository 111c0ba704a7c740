"""Nodes to opcodes.

Rule 1: a node is spelled as it was read (parts, opcode, then its steps in order), so an unedited pickle comes out as it
went in. Rule 2: a memoized node is defined at its first visit and fetched at every later one; nothing else is known about
the memo here, which is why removing the subtree that used to define a node needs no special case.
"""

from ptzip.errors import EditError
from ptzip.pickling.nodes import MARKED, PUTS, Detour, Node, Pickle, Step
from ptzip.pickling.opcodes import BARE, encode

FRAME_TARGET = 64 * 1024
"""A pickler closes a frame once it holds this many bytes (`pickle._Framer._FRAME_SIZE_TARGET`)."""

FRAME_MINIMUM = 4
"""Fewer bytes than this are not framed (`pickle._Framer._FRAME_SIZE_MIN`)."""


class _Memo:
    """Which nodes are defined already, and in which slots."""

    def __init__(self, pickle: Pickle) -> None:
        self.protocol = pickle.protocol or 0
        self.free = pickle.memo_end
        self.owners: dict[int, int] = {}  # slot -> id of the node in it
        self.gets: dict[int, bytes] = {}
        self.lost: set[int] = set()  # ids of nodes whose slot was put again

    def put(self, node: Node, step: Step) -> bytes:
        """Define `node` by `step`, or by a free slot where the step names none."""
        if id(node) in self.gets:
            raise EditError(
                "the pickle cannot be written again: the edit took a value that contains itself from its first place"
            )
        op, arg = step.op, step.arg
        if op == "MEMOIZE" and self.protocol >= 4:
            slot = len(self.owners)
        elif op == "MEMOIZE":
            slot, self.free = self.free, self.free + 1
            op, arg = ("BINPUT" if slot < 256 else "LONG_BINPUT"), slot
        else:
            slot = int(arg)
        before = self.owners.get(slot)
        if before is not None and before in self.gets:
            del self.gets[before]
            self.lost.add(before)
        self.owners[slot] = id(node)
        get = "GET" if op == "PUT" else "BINGET" if slot < 256 else "LONG_BINGET"
        self.gets[id(node)] = encode(get, str(slot).encode() if get == "GET" else slot)
        return encode(op, arg)

    def check(self, node: Node) -> None:
        """Refuse to spell a value a second time where that would make two of it."""
        if id(node) in self.lost:
            raise EditError("the pickle cannot be written again: a memo slot was reused, and its first value is still needed")


def write_pickle(pickle: Pickle) -> bytes:
    """The stream that rebuilds `pickle`: byte for byte the one it was read from, if nothing was edited.

    Raises EditError where the stream has anomalies and so cannot be spelled again.
    """
    if pickle.anomalies or pickle.root is None:
        found = pickle.anomalies[0] if pickle.anomalies else "it has no root"
        raise EditError(f"the pickle cannot be written again: {found}")
    head = [] if pickle.protocol is None else [encode("PROTO", pickle.protocol)]
    ops = [*head, *_spelled(pickle, pickle.root), encode("STOP")]
    return b"".join(_framed(ops, pickle.frames) if pickle.frames else ops)


Part = Node | bytes | tuple[Node, Step]
"""What is still to be spelled: a node, an opcode whose turn has come, or a memo put of a node."""


def _spelled(pickle: Pickle, root: Node) -> list[bytes]:
    memo = _Memo(pickle)
    out: list[bytes] = []
    pending: list[Part] = [root]  # an explicit stack: nesting has no limit
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            out.append(item)
        elif isinstance(item, tuple):
            out.append(memo.put(*item))
        elif id(item) in memo.gets:
            out.append(memo.gets[id(item)])
        else:
            memo.check(item)
            pending += _parts(item)[::-1]
    return out


def _parts(node: Node) -> list[Part]:
    if isinstance(node, Detour):
        return _detour(node)
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


def _detour(node: Detour) -> list[Part]:
    ops = [BARE[name] for name in node.op.split()]
    start = 1 if ops[0] == BARE["MARK"] else 0
    return [*ops[:start], *node.parts[:-1], *ops[start:], node.parts[-1]]


def _framed(ops: list[bytes], frames: list[tuple[int, int]]) -> list[bytes]:
    """The same frames, where they still end between two opcodes; else frames as a pickler would lay them."""
    kept = _kept_frames(ops, frames)
    return kept if kept is not None else _new_frames(ops)


def _kept_frames(ops: list[bytes], frames: list[tuple[int, int]]) -> list[bytes] | None:
    out: list[bytes] = []
    done = 0
    for first, length in frames:
        if first < done or first > len(ops):
            return None
        out += ops[done:first]
        done, filled = first, 0
        while filled < length and done < len(ops):
            filled += len(ops[done])
            done += 1
        if filled != length:
            return None
        out += [encode("FRAME", length), *ops[first:done]]
    return out + ops[done:]


def _new_frames(ops: list[bytes]) -> list[bytes]:
    """PROTO stands before the first frame, long arguments between two (`pickle._Framer`)."""
    out, frame, size = [ops[0]], list[bytes](), 0
    for op in ops[1:]:
        if len(op) >= FRAME_TARGET or size >= FRAME_TARGET:
            out += _close(frame, size)
            frame, size = [], 0
        if len(op) >= FRAME_TARGET:
            out.append(op)
        else:
            frame.append(op)
            size += len(op)
    return out + _close(frame, size)


def _close(frame: list[bytes], size: int) -> list[bytes]:
    return [encode("FRAME", size), *frame] if size >= FRAME_MINIMUM else frame
