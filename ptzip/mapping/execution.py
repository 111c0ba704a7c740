"""A pickle executed once more, opcode by opcode, to see what each one does: its effect on the stack, the mark that it takes,
and the object that it builds.

The machine is that of `pickling`, so that there is one meaning of a stream. Only its tree is kept, whatever is looked at.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.formats.container import Part
from ptzip.formats.joblib import Arrays, has_arrays
from ptzip.io.streams import Stream
from ptzip.pickling.machine import Machine, value_of
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.reader import Executed, Skip, read_seen, traced


class Span(NamedTuple):
    """Bytes of a stream, from `start` to before `stop`."""

    start: int
    stop: int


class Step(NamedTuple):
    """One executed opcode, and the machine after it, which the next step changes.

    The stack had `before` and has `after` it so many values and marks, and `marks` marks were open before it. `mark` is the
    offset of the mark that it took, None where it took none; `slots` the number of memo slots before it.
    """

    machine: Machine
    opcode: Executed
    before: int
    after: int
    marks: int
    mark: int | None
    slots: int

    @property
    def top(self) -> Node | None:
        """The value on top of the stack; None where a mark is there, or nothing."""
        stack, marks = self.machine.stack, self.machine.marks
        return None if not stack or (marks and marks[-1] == len(stack)) else value_of(stack[-1])


def executed(part: Part) -> Iterator[Step]:
    """The opcodes of a pickle, up to where it breaks; none of a pickle that has no bytes in a file."""
    if part.source is None:
        return
    pickle = part.pickle
    machine = Machine(pickle.limits)
    marks, before, slots = list[int](), 0, 0
    for opcode in traced(machine, part.source.whole(), pickle.start, _skip(pickle)):
        after, opened, mark = len(machine.stack) + len(machine.marks), len(marks), None
        if len(machine.marks) > opened:
            marks.append(opcode.start)
        elif len(machine.marks) < opened:
            mark = marks.pop()
        yield Step(machine, opcode, before, after, opened, mark, slots)
        before, slots = after, len(machine.memo)


def _skip(pickle: Pickle) -> Skip | None:
    """What tells the bytes of arrays from opcodes, in a pickle of joblib."""

    def read(data: Stream, start: int) -> Pickle:
        return read_seen(data, start, pickle.limits)

    return Arrays(read).skip if has_arrays(pickle) else None


def span_of(part: Part, offset: int) -> Span:
    """The opcodes that build the object whose own opcode is at an offset, from the first of what it is made of to the last that
    changes it before something else is done with it.
    """
    starts, node, level, found = list[int](), None, 0, Span(offset, offset)
    for step in executed(part):
        opcode = step.opcode
        if step.after > len(starts):
            starts.append(opcode.start)
        del starts[step.after :]
        if node is None and opcode.start == offset:
            node, level = step.top, step.after
            found = Span(starts[-1] if starts else offset, opcode.end)
        elif node is not None and step.after <= level:
            if step.after < level or step.top is not node:
                break
            found = found._replace(stop=opcode.end)
    return found
