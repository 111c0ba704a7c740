"""The state of the pickle machine: its stack, its marks, its memo, and the tree so far.

A value on the stack is either a node that was just created there, or a reference to one created earlier. Only the former may
get further steps, since a node is written at one position of the stream.
"""

from ptzip.errors import Anomaly, FormatError, beyond
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Call, Detour, Global, Node, Pickle, Tuple, children, plain

BROKEN, CUT, LIMIT = "broken", "cut", "limit"
"""The kinds of anomaly that stop the reading: the stream is invalid, it ends too early, or a limit was crossed."""


MOST_NOTES = 1000
"""Anomalies of one kind that are recorded; more say nothing new and take memory."""


LEAVES = (Atom, Global)
ENTERED = (Call, Tuple)
"""Of what is fetched, items of these are counted with what is in them."""

Fetched = tuple[Node]
"""On the stack, a value that was created earlier and fetched from the memo, to which no step may be added."""


def value_of(item: Node | Fetched) -> Node:
    """The value of an item of the stack."""
    return item[0] if type(item) is tuple else item  # type: ignore[return-value]


MOST_PER_BYTE = 4
"""As how many items, for each byte of a stream, what it fetches from the memo may have, beside a sixteenth of the opcodes that
are allowed. A few bytes fetch a container of any size, and commands look at its items wherever it is."""

ALLOWED_PART = 16
LEVELS = 3
"""How deep the items of what is fetched are counted: from an object to the dict that is its state, or an argument."""


class Popped:
    """Values popped by consecutive POPs, as a pickler does before it fetches a recursive tuple; see `nodes.Detour`."""

    __slots__ = ("end", "has_mark", "nodes", "ops")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ops: list[str] = []
        self.end = -1
        self.has_mark = False
        """Whether the mark below the values was popped too; no POP is added after that."""

    def clear(self) -> None:
        """Forget all values. Half the opcodes of a stream may be POPs, so a new object for each run takes long."""
        self.nodes.clear()
        self.ops.clear()
        self.has_mark = False


class Machine:
    """The state of one run."""

    def __init__(self, limits: Limits, spent: int = 0) -> None:
        self.limits = limits
        self.spent = spent
        """How many of the opcodes that `limits` allows were used before."""
        self.stack: list[Node | Fetched] = []
        self.marks: list[int] = []
        self.memo: dict[int, Node] = {}
        self.text_slots: set[int] = set()
        """The slots that PUT filled, which GET fetches."""
        self.put_late: set[int] = set()
        """The nodes, by identity, that were put into the memo after another step."""
        self.popped = Popped()
        self.pops_left = 0
        """POPs that belong to no `Detour`."""
        self.at = 0
        """The offset of the current opcode."""
        self.nested_at = -1
        """The offset of the innermost of several directly nested containers; `nested` is their number."""
        self.nested = 0
        self.items = 0
        """How many items were put into containers; of tuples, which tensors are made of, only those after the first few."""
        self.shared = 0
        """How many items the values have that were fetched from the memo, each time again."""
        self.pickle = Pickle(None)
        self.pickle.limits = limits
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
            raise beyond("nesting", self.limits.nesting, "containers are directly nested deeper than", self.at)

    def fill(self, count: int) -> None:
        """Count items put into a container, each of which has a path: most commands take long to look at one."""
        self.items += count
        if self.items > self.limits.paths:
            raise beyond("paths", self.limits.paths, "containers have more items than", self.at)

    def share(self, node: Node) -> None:
        """Count the items and steps of a value that is on the stack for another time."""
        entered = [node]
        for _ in range(LEVELS):
            below = [child for one in entered for child in children(one)]
            self.shared += len(below) + sum(len(one.steps) for one in entered)
            entered = [child for one in entered if type(one) in ENTERED for child in children(one) if type(child) not in LEAVES]
        most = min(self.limits.opcodes, self.limits.opcodes // ALLOWED_PART + MOST_PER_BYTE * (self.at - self.pickle.start))
        if self.shared > most:
            raise beyond(
                "opcodes", self.limits.opcodes, "values are shared so often that they count as more opcodes than", self.at
            )

    def floor(self) -> int:
        """The index in the stack below which no opcode may pop."""
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Node:
        if len(self.stack) <= self.floor():
            raise self.is_empty()
        item = self.stack.pop()
        return item[0] if type(item) is tuple else item  # type: ignore[return-value]

    def pop_several(self, count: int) -> list[Node]:
        """The topmost values, the last on top."""
        start = len(self.stack) - count
        if start < self.floor():
            raise self.is_empty()
        return self._pop_from(start)

    def pop_marked(self) -> list[Node]:
        if not self.marks:
            raise FormatError("an opcode needs a mark, but the pickle's stack has none", self.at)
        return self._pop_from(self.marks.pop())

    def _pop_from(self, start: int) -> list[Node]:
        items = [item[0] if type(item) is tuple else item for item in self.stack[start:]]
        del self.stack[start:]
        return items  # type: ignore[return-value]

    def is_empty(self) -> FormatError:
        return FormatError("an opcode needs a value, but the pickle's stack is empty", self.at)

    def top(self) -> Node:
        """The node on top, which the next step applies to."""
        if len(self.stack) <= self.floor():
            raise self.is_empty()
        item = self.stack[-1]
        if isinstance(item, tuple | Detour):
            self.note("late step", "a value is changed after it was fetched from the memo")
            return plain(value_of(item))
        return item

    def discard(self, nodes: list[Node]) -> None:
        """Keep what leaves the stack: building it may have taken a loader long."""
        self.pickle.discarded += [node for node in nodes if node.steps or node.parts]

    def push(self, node: Node) -> None:
        node.offset = self.at
        self.stack.append(node)
