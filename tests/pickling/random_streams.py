"""Streams that no pickler would write: random opcodes, most of which are valid at their position.

They import nothing, so Python may load them too.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from ptzip.pickling.opcodes import encode

VALUES = ("NONE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "NEWTRUE", "EMPTY_SET")
MARKED = ("TUPLE", "LIST", "FROZENSET")


@dataclass
class RandomStream:
    """A stream being generated; `heights` are the numbers of values above each mark."""

    random: random.Random
    protocol: int | None
    ops: list[bytes] = field(default_factory=list)
    heights: list[int] = field(default_factory=lambda: [0])
    slots: list[int] = field(default_factory=list)

    def put(self, op: str, taken: int = 0, given: int = 0, argument: int | None = None) -> None:
        """Append an opcode, if the stack has enough values for it."""
        if self.heights[-1] >= taken:
            self.ops.append(encode(op, argument))
            self.heights[-1] += given - taken

    def close(self, op: str, given: int) -> None:
        """Append an opcode that pops all values above the mark, if there is one."""
        if len(self.heights) > 1:
            self.ops.append(encode(op))
            self.heights.pop()
            self.heights[-1] += given

    def mark(self) -> None:
        self.ops.append(encode("MARK"))
        self.heights.append(0)

    def memoize(self) -> None:
        if self.protocol == 4 and self.random.random() < 0.8:
            self.put("MEMOIZE", 1, 1)
            self.slots.append(len(set(self.slots)))
        else:
            slot = self.random.randrange(4)
            self.put("BINPUT", 1, 1, slot)
            self.slots.append(slot)

    def fetch(self) -> None:
        if self.slots:
            self.put("BINGET", 0, 1, self.random.choice(self.slots))

    def pop(self) -> None:
        if self.heights[-1]:
            self.put("POP", 1)
        else:
            self.close("POP", 0)

    def step(self) -> None:
        """Append a random opcode."""
        chance = self.random.choice
        actions = (
            lambda: self.put(chance(VALUES), 0, 1),
            lambda: self.put("BININT1", 0, 1, 7),
            self.mark,
            self.memoize,
            self.fetch,
            self.fetch,
            self.pop,
            lambda: self.close("POP_MARK", 0),
            lambda: self.close(chance(MARKED), 1),
            lambda: self.close(chance(("APPENDS", "SETITEMS")), 0),
            lambda: self.put("APPEND", 2, 1),
            lambda: self.put("SETITEM", 3, 1),
            lambda: self.put("TUPLE1", 1, 1),
            lambda: self.put("DUP", 1, 2),
        )
        actions[self.random.choices(range(len(actions)), WEIGHTS)[0]]()

    def finish(self) -> bytes:
        while len(self.heights) > 1:
            self.close("TUPLE", 1)
        while self.heights[-1] > 1:
            self.put(self.random.choice(("APPEND", "TUPLE2", "POP")), 2, 1)
        head = b"" if self.protocol is None else encode("PROTO", self.protocol)
        body = b"".join(self.ops) + encode("STOP")
        return head + encode("FRAME", len(body)) + body if self.protocol == 4 else head + body


WEIGHTS = (8, 2, 3, 6, 3, 3, 3, 1, 3, 2, 4, 1, 3, 0.2)


def streams(seed: int, count: int) -> Iterator[bytes]:
    """`count` streams, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        stream = RandomStream(chance, chance.choice((None, 2, 4)))
        for _ in range(chance.randrange(2, 25)):
            stream.step()
        yield stream.finish()
