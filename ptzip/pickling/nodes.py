"""The concrete syntax tree of a pickle: what a loader would build, and by which opcodes.

A node is written as its parts, its opcode, then its steps in order (memo put, appends, setitems, build), so a node can be
created without saying how it is written, and an edit assigns one index of one list. Nodes have identity: a value that the
stream fetches from the memo is the same node everywhere, and a node may contain itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.opcodes import VALUES

if TYPE_CHECKING:
    from ptzip.errors import Anomaly

MARKED = frozenset({"TUPLE", "LIST", "DICT", "FROZENSET", "INST", "OBJ", "APPENDS", "SETITEMS", "ADDITEMS"})
"""The opcodes that pop all values above the topmost mark."""

PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
PAIRED = frozenset({"DICT", "SETITEM", "SETITEMS"})
LISTED = frozenset({"LIST", "FROZENSET", "APPEND", "APPENDS", "ADDITEMS"})
TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
"""The opcodes whose argument is a string."""

NOTHING: list[Any] = cast("list[Any]", ())
"""The empty parts, steps or items that all nodes of a stream share, since creating a list for each is slow."""


class Step:
    """An opcode applied to a node that is on the stack; on a memo put, `arg` None means any free slot."""

    __slots__ = ("arg", "items", "op")

    def __init__(self, op: str, arg: Any = None, items: "list[Node] | None" = None) -> None:
        self.op = op
        self.arg = arg
        self.items = [] if items is None else items


MEMOIZED = cast("list[Step]", (Step("MEMOIZE", None, NOTHING),))
"""The steps that all nodes share which are only put into the next free memo slot: with lists of their own, half of the memory
of a tree would go there."""


class Node:
    """`offset` is that of the opcode in the stream it was read from, -1 for a new node."""

    __slots__ = ("arg", "offset", "op", "parts", "steps")

    def __init__(
        self, op: str, arg: Any = None, parts: "list[Node] | None" = None, steps: list[Step] | None = None, offset: int = -1
    ) -> None:
        self.op = op
        self.arg = arg
        self.parts = [] if parts is None else parts
        self.steps = [] if steps is None else steps
        self.offset = offset

    def add(self, step: Step) -> None:
        """Append a step."""
        if type(self.steps) is list:
            self.steps.append(step)
        elif self.steps:
            self.steps = [*self.steps, step]
        else:  # as nearly all nodes have at most one step, a tuple, which takes half of the memory of a list
            self.steps = cast("list[Step]", (step,))


class Atom(Node):
    """A number, a string, bytes, None or a boolean."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The value in a loader; a Python 2 string is `str` if it is UTF-8, else `bytes`."""
        decode = VALUES.get(self.op)
        return self.arg if decode is None else decode(self.arg)


class Tuple(Node):
    """A tuple; its items are its parts."""

    __slots__ = ()


class List(Node):
    """A list, filled by its parts (LIST) and its steps (APPEND, APPENDS)."""

    __slots__ = ()


class Dict(Node):
    """A dict, filled by its parts (DICT) and its steps (SETITEM, SETITEMS), keys and values in turn."""

    __slots__ = ()


class Set(Node):
    """A set or a frozenset."""

    __slots__ = ()


class Global(Node):
    """A name that a loader would import."""

    __slots__ = ("module", "name")

    def __init__(
        self,
        op: str,
        arg: Any = None,
        parts: list[Node] | None = None,
        steps: list[Step] | None = None,
        offset: int = -1,
        module: str = "",
        name: str = "",
    ) -> None:
        super().__init__(op, arg, parts, steps, offset)
        self.module = module
        self.name = name

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


class Call(Node):
    """A call that a loader would make: REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, INST."""

    __slots__ = ()

    @property
    def function(self) -> Node:
        if self.op == "INST":
            return Global("GLOBAL", self.arg, offset=self.offset, module=self.arg[0], name=self.arg[1])
        return plain(self.parts[0])

    @property
    def path(self) -> str:
        """Module and name of what is called, or "" if that is not a plain name."""
        if self.op == "INST":
            return ".".join(self.arg)
        function = plain(self.parts[0])
        return function.path if isinstance(function, Global) else ""

    @property
    def arguments(self) -> list[Node]:
        """The list that holds the positional arguments; empty if they are not a plain tuple."""
        if self.op == "INST":
            return self.parts
        if self.op == "OBJ":
            return self.parts[1:]
        given = plain(self.parts[1])
        return given.parts if isinstance(given, Tuple) else []


class Persistent(Node):
    """A persistent id, which `tensors` interprets."""

    __slots__ = ()

    @property
    def id(self) -> Node:
        return plain(self.parts[0]) if self.parts else Atom("BINUNICODE", self.arg.decode("ascii"), offset=self.offset)


class Detour(Node):
    """A value fetched after others were written and popped again, as picklers do for a tuple that contains itself.

    The last part is the value. The others were popped by the opcodes that `op` lists, above a mark if `op` starts with "MARK".
    """

    __slots__ = ()


class Slot:
    """A position in the tree that holds a node: one index of one list."""

    __slots__ = ("holder", "index")

    def __init__(self, holder: list[Node], index: int) -> None:
        self.holder = holder
        self.index = index

    @property
    def node(self) -> Node:
        return plain(self.holder[self.index])

    def put(self, node: Node) -> None:
        self.holder[self.index] = node


class Pickle:
    """A stream that was read.

    `calls` has every Global and Call in the order a loader would run them, popped or not; `persistents` every persistent id in
    the order a loader would resolve them; `discarded` the values with parts that are popped or left over. `root` is None if the
    stream broke, after `opcodes` opcodes. Each of `frames` is (opcodes before it, bytes in it). A stream with anomalies can be
    inspected, but is written only verbatim.
    """

    def __init__(self, root: Node | None, protocol: int | None = None) -> None:
        self.root = root
        self.protocol = protocol
        self.frames: list[tuple[int, int]] = []
        self.calls: list[Node] = []
        self.persistents: list[Persistent] = []
        self.discarded: list[Node] = []
        self.anomalies: list[Anomaly] = []
        self.limits = DEFAULT_LIMITS
        """Those that it was read with, which bound what is done with it too."""
        self.opcodes = 0
        self.cost = 0
        """What counts of it against the limit of opcodes."""
        self.start = 0
        self.end = 0
        self.memo_end = 0
        """The first memo slot above all those used by the stream."""


def plain(node: Node) -> Node:
    """The node itself, without the detour that may lead to it."""
    while isinstance(node, Detour):
        node = node.parts[-1]
    return node


def text(node: Node | None) -> str | None:
    """The value of a string node, else None."""
    value = node.value if isinstance(node, Atom) else None
    return value if isinstance(value, str) else None


def _fills(node: Node, ops: frozenset[str]) -> list[list[Node]]:
    found = [step.items for step in node.steps if step.op in ops]  # a generator takes twice as long for most nodes
    return [node.parts, *found] if node.op in ops else found


def pair_slots(node: Node) -> Iterator[tuple[Node, Slot]]:
    """Every key of a dict, or of an object filled like one, with the slot of its value."""
    for holder in _fills(node, PAIRED):
        for index in range(0, len(holder), 2):
            yield plain(holder[index]), Slot(holder, index + 1)


def pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """Every key of a dict, or of an object filled like one, with its value."""
    for holder in _fills(node, PAIRED):
        yield from zip(map(plain, holder[::2]), map(plain, holder[1::2]), strict=True)


def item_slots(node: Node) -> Iterator[Slot]:
    """Every slot of a tuple, a list or a set, or of an object filled like a list."""
    for holder in [node.parts] if isinstance(node, Tuple) else _fills(node, LISTED):
        for index in range(len(holder)):
            yield Slot(holder, index)


def slot_of(node: Node, key: str) -> Slot | None:
    """The slot of the value of `key`, the last of several, since later items overwrite earlier ones."""
    for holder in reversed(_fills(node, PAIRED)):
        for index in range(len(holder) - 2, -1, -2):
            found = holder[index]
            is_other = found.op in TEXTS and found.arg != key  # a cheap test that excludes most keys
            if not is_other and text(plain(found)) == key:
                return Slot(holder, index + 1)
    return None


def lookup(node: Node | None, key: str) -> Node | None:
    """The value of `key` in a dict, or None."""
    slot = slot_of(node, key) if node is not None else None
    return slot.node if slot else None


def state(node: Node) -> Node | None:
    """The state that BUILD gives an object (usually its `__dict__`), or None."""
    for step in reversed(node.steps):
        if step.op == "BUILD":
            return plain(step.items[0])
    return None


def children(node: Node) -> list[Node]:
    """The nodes directly below a node, in stream order."""
    found = list(node.parts)
    for step in node.steps:
        found += step.items
    return found


def walk(root: Node) -> Iterator[Node]:
    """`root` and every node below it, once each, in stream order: a node comes after its parts and before its steps."""
    seen: set[int] = set()
    pending: list[Node | tuple[Node]] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            (node,) = item
            yield node
            for step in reversed(node.steps):
                pending += step.items[::-1]
        elif id(item) not in seen:
            seen.add(id(item))
            pending.append((item,))
            pending += item.parts[::-1]


def walk_unordered(root: Node, seen: set[int] | None = None) -> Iterator[Node]:
    """`root` and every node below it, parents first, twice as fast as `walk`; nodes whose ids are in `seen` are skipped."""
    seen = set() if seen is None else seen
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending += node.parts
            for step in node.steps:
                if step.items:
                    pending += step.items
