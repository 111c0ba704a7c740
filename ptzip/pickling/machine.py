"""The state of the pickle machine: its stack, its marks, its memo, and the tree so far.

A value on the stack is either a node that was just created there, or a reference to one created earlier. Only the former may
get further steps, since a node is written at one position of the stream.
"""

from ptzip.errors import Anomaly, FormatError, LimitError
from ptzip.limits import Limits
from ptzip.pickling.nodes import Detour, Node, Pickle, plain

BROKEN, CUT, LIMIT = "broken", "cut", "limit"
"""The kinds of anomaly that stop the reading: the stream is invalid, it ends too early, or a limit was crossed."""


MOST_NOTES = 1000
"""Anomalies of one kind that are recorded; more say nothing new and take memory."""


class MemoEntry:
    """A memo slot; on the stack, a value fetched from it, to which no step may be added."""

    __slots__ = ("fetch", "node")

    def __init__(self, node: Node, fetch: str) -> None:
        self.node = node
        self.fetch = fetch
        """The opcode that fetches this slot."""


FETCHED = (MemoEntry, Detour)
"""The types on the stack that refer to a value created earlier."""


class Popped:
    """Values popped by consecutive POPs, as a pickler does before it fetches a recursive tuple; see `nodes.Detour`."""

    __slots__ = ("end", "has_mark", "nodes", "ops")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ops: list[str] = []
        self.end = -1
        self.has_mark = False
        """Whether the mark below the values was popped too; no POP is added after that."""


class Machine:
    """The state of one run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stack: list[Node | MemoEntry] = []
        self.marks: list[int] = []
        self.memo: dict[int, MemoEntry] = {}
        self.put: set[Node] = set()
        """The nodes that are or were in the memo."""
        self.popped = Popped()
        self.pops_left = 0
        """POPs that belong to no `Detour`."""
        self.at = 0
        """The offset of the current opcode."""
        self.nested_at = -1
        """The offset of the innermost of several directly nested containers; `nested` is their number."""
        self.nested = 0
        self.pickle = Pickle(None)
        self.noted = dict[str, int]()

    def note(self, kind: str, message: str) -> None:
        """Record an anomaly, unless there were `MOST_NOTES` of its kind."""
        self.noted[kind] = self.noted.get(kind, 0) + 1
        if self.noted[kind] <= MOST_NOTES:
            self.pickle.anomalies.append(Anomaly(kind, message, self.at))

    def nest(self) -> None:
        """Count directly nested containers, each alone in the next: a bomb needs one byte for each level."""
        self.nested = self.nested + 1 if self.nested_at == self.at - 1 else 1
        self.nested_at = self.at
        if self.nested > self.limits.nesting:
            raise LimitError(
                f"more than {self.limits.nesting} containers are nested directly in one another (at byte {self.at})"
            )

    def floor(self) -> int:
        """The index in the stack below which no opcode may pop."""
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Node:
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode needs a value, but the pickle's stack is empty", self.at)
        item = self.stack.pop()
        return item.node if type(item) is MemoEntry else item  # type: ignore[return-value]

    def pop_marked(self) -> list[Node]:
        if not self.marks:
            raise FormatError("an opcode needs a mark, but the pickle's stack has none", self.at)
        start = self.marks.pop()
        items = [item.node if type(item) is MemoEntry else item for item in self.stack[start:]]
        del self.stack[start:]
        return items  # type: ignore[return-value]

    def top(self) -> Node:
        """The node on top, which the next step applies to."""
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode needs a value, but the pickle's stack is empty", self.at)
        item = self.stack[-1]
        if isinstance(item, FETCHED):
            self.note("late step", "a value is changed after it was fetched from the memo")
            return plain(item if isinstance(item, Node) else item.node)
        return item

    def discard(self, nodes: list[Node]) -> None:
        """Keep what leaves the stack: building it may have taken a loader long."""
        self.pickle.discarded += [node for node in nodes if node.steps or node.parts]

    def push(self, node: Node) -> None:
        node.offset = self.at
        self.stack.append(node)
