"""The state of the pickle machine: its stack, its marks, its memo, and what it has seen so far.

Rule: a value on the stack is a node that was just made there, or a fetch of one that was made elsewhere; only the former
may still be given a step, since a node is spelled in one place.
"""

from ptzip.errors import Anomaly, FormatError, LimitError
from ptzip.limits import Limits
from ptzip.pickling.nodes import Detour, Node, Pickle, plain


class Got:
    """A memo slot, and on the stack a value fetched from it: spelled elsewhere, so no step may be added there."""

    __slots__ = ("fetch", "node")

    def __init__(self, node: Node, fetch: str) -> None:
        self.node = node
        self.fetch = fetch
        """The opcode by which this slot is spelled."""


FETCHED = (Got, Detour)
"""What stands on the stack for a value that was made elsewhere."""


class Popped:
    """Values popped by a run of POPs, as a pickler does before it fetches a recursive tuple; see `nodes.Detour`."""

    __slots__ = ("end", "has_mark", "nodes", "ops")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ops: list[str] = []
        self.end = -1
        self.has_mark = False
        """Whether the mark below the values was popped too, which ends the run."""


class Machine:
    """The state of one run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stack: list[Node | Got] = []
        self.marks: list[int] = []
        self.memo: dict[int, Got] = {}
        self.put: set[Node] = set()
        """The nodes that are in the memo, or were."""
        self.popped = Popped()
        self.pops_left = 0
        self.at = 0
        self.nested_at = -1
        """Where the last of a run of containers in one another stands, and how many there are in `nested`."""
        self.nested = 0
        self.pickle = Pickle(None)

    def note(self, kind: str, message: str) -> None:
        self.pickle.anomalies.append(Anomaly(kind, message, self.at))

    def nest(self) -> None:
        """Note a container that holds, or stands in, nothing but the one before it: a bomb of them takes a byte for each."""
        self.nested = self.nested + 1 if self.nested_at == self.at - 1 else 1
        self.nested_at = self.at
        if self.nested > self.limits.nesting:
            raise LimitError(f"more than {self.limits.nesting} containers stand in one another (at byte {self.at})")

    def floor(self) -> int:
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Node:
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode finds nothing on the pickle's stack", self.at)
        item = self.stack.pop()
        return item.node if type(item) is Got else item  # type: ignore[return-value]

    def pop_marked(self) -> list[Node]:
        if not self.marks:
            raise FormatError("an opcode finds no mark on the pickle's stack", self.at)
        start = self.marks.pop()
        items = [item.node if type(item) is Got else item for item in self.stack[start:]]
        del self.stack[start:]
        return items  # type: ignore[return-value]

    def top(self) -> Node:
        """The node that a step is for."""
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode finds nothing on the pickle's stack", self.at)
        item = self.stack[-1]
        if isinstance(item, FETCHED):
            self.note("late step", "a value is changed where it was fetched from the memo")
            return plain(item if isinstance(item, Node) else item.node)
        return item

    def push(self, node: Node) -> None:
        node.offset = self.at
        self.stack.append(node)
