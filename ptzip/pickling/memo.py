"""The memo: how a value is put into a slot and fetched again, while reading and while writing.

While reading, PUT and MEMOIZE become steps of a node, and GET puts a reference to that node on the stack. While writing, a node
with such a step is fetched from its slot at every visit after the first.
"""

from typing import Any

from ptzip.errors import EditError, FormatError, beyond
from ptzip.pickling.machine import LEAVES, LIMIT, Machine
from ptzip.pickling.nodes import MEMOIZED, NOTHING, PUTS, Detour, Node, Pickle, Step
from ptzip.pickling.opcodes import encode


def fetch_opcode(slot: int, text_slots: set[int]) -> str:
    """The opcode by which a pickler fetches a slot; PUT filled those in `text_slots`."""
    return "GET" if slot in text_slots else "BINGET" if slot < 256 else "LONG_BINGET"


def put(machine: Machine, op: str, arg: Any) -> None:
    """PUT, BINPUT, LONG_BINPUT, MEMOIZE: store the value on top of the stack."""
    if op == "MEMOIZE" and (machine.pickle.protocol or 0) < 4:
        machine.note("odd put", "MEMOIZE in a pickle below protocol 4")
    slot = len(machine.memo) if arg is None else arg if op != "PUT" else _text_slot(machine, arg)
    node = machine.top()
    if slot > max(machine.limits.memo_index, machine.at):  # a loader takes memory for all slots below
        machine.note(LIMIT, beyond("memo_index", machine.limits.memo_index, f"memo slot {slot:,} is above").message)
    machine.memo[slot] = node
    if op == "PUT":
        machine.text_slots.add(slot)
    elif machine.text_slots:
        machine.text_slots.discard(slot)
    if node.steps:
        _put_again(machine, node)
    elif arg is None:
        node.steps = MEMOIZED
        return
    node.add(Step(op, arg, NOTHING))


def _put_again(machine: Machine, node: Node) -> None:
    """Note where a value that has steps is in the memo already; nearly all are put there by their first step."""
    if node.steps[0].op in PUTS or id(node) in machine.put_late:
        machine.note("put twice", "a value is put into two memo slots")
    else:
        machine.put_late.add(id(node))


def get(machine: Machine, op: str, arg: Any) -> None:
    """GET, BINGET, LONG_BINGET: push the value of a slot, as a `Detour` if other values were just popped for it."""
    slot = arg if op != "GET" else _text_slot(machine, arg)
    node = machine.memo.get(slot)
    if node is None:
        raise FormatError(f"memo slot {slot} is fetched but was never put", machine.at)
    usual = fetch_opcode(slot, machine.text_slots)
    if usual != op:
        machine.note("odd fetch", f"memo slot {slot} is fetched by {op}, expected {usual}")
    if type(node) not in LEAVES:
        machine.share(node)
    run = machine.popped
    if run.end == machine.at:
        machine.pops_left -= len(run.ops)
        popped = run.nodes if "POP_MARK" in run.ops else run.nodes[::-1]
        ops = ["MARK", *run.ops] if run.has_mark else run.ops
        machine.push(Detour(" ".join(ops), None, [*popped, node]))
    else:
        machine.stack.append((node,))


def _text_slot(machine: Machine, arg: bytes) -> int:
    """The slot of a PUT or GET, which protocol 0 writes as decimal digits."""
    try:
        slot = int(arg.partition(b"\0")[0])  # C reads up to a NUL
    except ValueError:
        slot = -1
    if slot < 0:
        raise FormatError(f"memo slot {arg[:40]!r} is invalid, expected a number", machine.at)
    if str(slot).encode() != arg:
        machine.note("odd slot", f"memo slot {slot} is written as {arg[:40]!r}")
    return slot


class WriterMemo:
    """The nodes written so far, and their slots."""

    def __init__(self, pickle: Pickle) -> None:
        self.protocol = pickle.protocol or 0
        self.free = pickle.memo_end
        self.owners: dict[int, int] = {}  # slot -> id of the node in it
        self.slots: dict[int, int] = {}  # id of a node -> its slot
        self.text_slots: set[int] = set()
        self.lost: set[int] = set()  # ids of nodes whose slot was overwritten

    def put(self, node: Node, step: Step) -> bytes:
        """The opcode that stores `node`, in the slot of `step` or in a free one if the step has none. Raises EditError."""
        if id(node) in self.slots:
            raise EditError("the pickle cannot be rewritten: the edit moved the definition of a value that contains itself")
        op, arg = step.op, step.arg
        if op == "MEMOIZE" and self.protocol >= 4:
            slot = len(self.owners)
        elif op == "MEMOIZE":
            slot, self.free = self.free, self.free + 1
            op, arg = ("BINPUT" if slot < 256 else "LONG_BINPUT"), slot
        else:
            slot = int(arg)
        before = self.owners.get(slot)
        if before is not None and self.slots.pop(before, None) is not None:
            self.lost.add(before)
        self.owners[slot], self.slots[id(node)] = id(node), slot
        if op == "PUT":
            self.text_slots.add(slot)
        elif self.text_slots:
            self.text_slots.discard(slot)
        return encode(op, arg)

    def get(self, slot: int) -> bytes:
        """The opcode that fetches the value in a slot."""
        op = fetch_opcode(slot, self.text_slots)
        return encode(op, str(slot).encode() if op == "GET" else slot)

    def check(self, node: Node) -> None:
        """Raise EditError if writing a value a second time would create a copy of it."""
        if id(node) in self.lost:
            raise EditError("the pickle cannot be rewritten: a memo slot was reused while its first value is still needed")
