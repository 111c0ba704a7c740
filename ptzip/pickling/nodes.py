"""The concrete tree of a pickle: what a loader would build, and how each part of it was spelled.

Rule: a node is spelled as its parts, then its opcode, then its steps in order (memo put, appends, setitems, build), so a
node made by hand needs no spelling of its own and an edit assigns one slot of one list. Nodes have identity: a value that
the stream fetches from the memo is the same node wherever it stands, and a node may contain itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ptzip.pickling.argument_values import MEANINGS

if TYPE_CHECKING:
    from ptzip.errors import Anomaly

MARKED = frozenset({"TUPLE", "LIST", "DICT", "FROZENSET", "INST", "OBJ", "APPENDS", "SETITEMS", "ADDITEMS"})
"""The opcodes that take what stands above the topmost mark."""

PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
PAIRED = frozenset({"DICT", "SETITEM", "SETITEMS"})
LISTED = frozenset({"LIST", "FROZENSET", "APPEND", "APPENDS", "ADDITEMS"})
TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
"""The opcodes whose argument is the text itself."""

NOTHING: list[Any] = cast("list[Any]", ())
"""No parts, no steps, no items: one for all nodes of a stream that have none, since a list for each takes its time."""


class Step:
    """What is done to a node once it stands on the stack; `arg` None on a put stands for a free memo slot."""

    __slots__ = ("arg", "items", "op")

    def __init__(self, op: str, arg: Any = None, items: "list[Node] | None" = None) -> None:
        self.op = op
        self.arg = arg
        self.items = [] if items is None else items


class Node:
    """`offset` is the place of the opcode in the stream it was read from, -1 for a node made by hand."""

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
        """Give the node one more step."""
        if self.steps:
            self.steps.append(step)
        else:
            self.steps = [step]


class Atom(Node):
    """A number, a text, bytes, None or a truth value."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """What a loader would hold; Python 2 strings are text where they are UTF-8, else bytes."""
        meaning = MEANINGS.get(self.op)
        return self.arg if meaning is None else meaning(self.arg)


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
        """Module and name of what is called, or "" where that is not a plain name."""
        function = self.function
        return function.path if isinstance(function, Global) else ""

    @property
    def arguments(self) -> list[Node]:
        """The list that holds the positional arguments (empty where they are no plain tuple)."""
        if self.op == "INST":
            return self.parts
        if self.op == "OBJ":
            return self.parts[1:]
        given = plain(self.parts[1])
        return given.parts if isinstance(given, Tuple) else []


class Persistent(Node):
    """A persistent id; what it means is for the floors above to say."""

    __slots__ = ()

    @property
    def id(self) -> Node:
        return plain(self.parts[0]) if self.parts else Atom("BINUNICODE", self.arg.decode("ascii"), offset=self.offset)


class Detour(Node):
    """A value reached by spelling others first and popping them again, as picklers do for a tuple that contains itself.

    The last part is the value; the others were popped, above a mark if `op` starts with "MARK", by the opcodes that `op` names.
    """

    __slots__ = ()


class Slot:
    """A place that holds a node: one index of one list of the tree."""

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
    """One stream, read: `calls` is every Global and Call in the order a loader would run them, popped or not, and
    `persistents` every persistent id in the order a loader would ask for them.

    `root` is None where the stream broke, after `opcodes` of them. `frames` are (opcodes before it, bytes in it).
    A stream with anomalies can be looked at, but is written only verbatim.
    """

    def __init__(self, root: Node | None, protocol: int | None = None) -> None:
        self.root = root
        self.protocol = protocol
        self.frames: list[tuple[int, int]] = []
        self.calls: list[Node] = []
        self.persistents: list[Persistent] = []
        self.anomalies: list[Anomaly] = []
        self.opcodes = 0
        self.start = 0
        self.end = 0
        self.memo_end = 0
        """The first memo slot above all that the stream uses."""


def plain(node: Node) -> Node:
    """The node itself, seen through the detour that may lead to it."""
    while isinstance(node, Detour):
        node = node.parts[-1]
    return node


def text(node: Node | None) -> str | None:
    """The text that a node is, or None."""
    value = node.value if isinstance(node, Atom) else None
    return value if isinstance(value, str) else None


def _fills(node: Node, ops: frozenset[str]) -> Iterator[list[Node]]:
    if node.op in ops:
        yield node.parts
    yield from (step.items for step in node.steps if step.op in ops)


def pair_slots(node: Node) -> Iterator[tuple[Node, Slot]]:
    """Every key of a dict, or of an object filled like one, with the place of its value."""
    for holder in _fills(node, PAIRED):
        for index in range(0, len(holder), 2):
            yield plain(holder[index]), Slot(holder, index + 1)


def pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """Every key of a dict, or of an object filled like one, with its value."""
    for key, slot in pair_slots(node):
        yield key, slot.node


def item_slots(node: Node) -> Iterator[Slot]:
    """Every place of a tuple, a list or a set, or of an object filled like a list."""
    for holder in [node.parts] if isinstance(node, Tuple) else _fills(node, LISTED):
        for index in range(len(holder)):
            yield Slot(holder, index)


def slot_of(node: Node, key: str) -> Slot | None:
    """Where the value of `key` stands: the last one, since later items overwrite."""
    for holder in reversed(list(_fills(node, PAIRED))):
        for index in range(len(holder) - 2, -1, -2):
            found = holder[index]
            is_other = found.op in TEXTS and found.arg != key  # soon told, and so with most keys
            if not is_other and text(plain(found)) == key:
                return Slot(holder, index + 1)
    return None


def lookup(node: Node | None, key: str) -> Node | None:
    """The value of `key` in a dict, or None."""
    slot = slot_of(node, key) if node is not None else None
    return slot.node if slot else None


def state(node: Node) -> Node | None:
    """What BUILD gives to an object (its `__dict__`, mostly), or None."""
    built = [step.items[0] for step in node.steps if step.op == "BUILD"]
    return plain(built[-1]) if built else None


def children(node: Node) -> list[Node]:
    """The nodes right below a node, in the order of the stream."""
    found = list(node.parts)
    for step in node.steps:
        found += step.items
    return found


def walk(root: Node) -> Iterator[Node]:
    """Every node below and with `root`, once, a node after its parts and before its steps, as the stream spells them."""
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
    """`root` and every node below it, once each, parents first but in no further order; twice as fast as `walk`.

    Nodes whose ids are in `seen` are skipped; the ids of the nodes yielded are added.
    """
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
