"""Opcodes to nodes: the pickle machine, run without running anything.

It accepts what CPython's C unpickler accepts (`Modules/_pickle.c`) and keeps its own stack, marks and memo, so nesting has
no limit but the configured ones. Rule 1: a stream that breaks half-way has already run its first half in a loader, so what
was seen is returned, with an anomaly. Rule 2: whatever `pickler` could not spell again the same way is an anomaly, found
here, where it is met.
"""

from collections.abc import Callable
from typing import Any

from ptzip.errors import Anomaly, FormatError, LimitError
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Detour,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Pickle,
    Set,
    Step,
    Tuple,
    plain,
    text,
)
from ptzip.pickling.opcodes import NOTHING, OPCODES, Stream

HIGHEST_PROTOCOL = 5


class _Got:
    """A memo slot, and on the stack a value fetched from it: spelled elsewhere, so no step may be added there."""

    __slots__ = ("fetch", "node")

    def __init__(self, node: Node, fetch: str) -> None:
        self.node = node
        self.fetch = fetch
        """The opcode by which this slot is spelled."""


class _Popped:
    """Values popped by a run of POPs, as a pickler does before it fetches a recursive tuple; see `nodes.Detour`."""

    __slots__ = ("end", "has_mark", "nodes", "ops")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ops: list[str] = []
        self.end = -1
        self.has_mark = False
        """Whether the mark below the values was popped too, which ends the run."""


class _Machine:
    """The state of one run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stack: list[Node | _Got] = []
        self.marks: list[int] = []
        self.memo: dict[int, _Got] = {}
        self.popped = _Popped()
        self.pops_left = 0
        self.at = 0
        self.pickle = Pickle(None)

    def note(self, kind: str, message: str) -> None:
        self.pickle.anomalies.append(Anomaly(kind, message, self.at))

    def floor(self) -> int:
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Node:
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode finds nothing on the pickle's stack", self.at)
        item = self.stack.pop()
        return item.node if type(item) is _Got else item  # type: ignore[return-value]

    def pop_marked(self) -> list[Node]:
        if not self.marks:
            raise FormatError("an opcode finds no mark on the pickle's stack", self.at)
        start = self.marks.pop()
        items = [item.node if type(item) is _Got else item for item in self.stack[start:]]
        del self.stack[start:]
        return items  # type: ignore[return-value]

    def top(self) -> Node:
        """The node that a step is for."""
        if len(self.stack) <= self.floor():
            raise FormatError("an opcode finds nothing on the pickle's stack", self.at)
        item = self.stack[-1]
        if isinstance(item, _Got | Detour):
            self.note("late step", "a value is changed where it was fetched from the memo")
            return plain(item if isinstance(item, Node) else item.node)
        return item

    def push(self, node: Node) -> None:
        node.offset = self.at
        self.stack.append(node)


Handler = Callable[[_Machine, str, Any], None]
Reader = Callable[[Stream, int], tuple[Any, int]]


def _atom(machine: _Machine, op: str, arg: Any) -> None:
    machine.push(Atom(op, arg))


def _line(machine: _Machine, op: str, arg: Any) -> None:
    """A value spelled as text, which may be no such value."""
    node = Atom(op, arg)
    try:
        _ = node.value
    except ValueError as error:
        raise FormatError(f"{op} holds {arg[:40]!r}, which it cannot", machine.at) from error
    machine.push(node)


def _empty(kind: type[Node]) -> Handler:
    return lambda machine, op, _: machine.push(kind(op))


def _marked(kind: type[Node]) -> Handler:
    return lambda machine, op, _: machine.push(kind(op, None, machine.pop_marked()))


def _tuple_of(count: int) -> Handler:
    def run(machine: _Machine, op: str, _: Any) -> None:
        parts = [machine.pop() for _ in range(count)]
        machine.push(Tuple(op, None, parts[::-1]))

    return run


def _append(machine: _Machine, op: str, _: Any) -> None:
    item = machine.pop()
    machine.top().steps.append(Step(op, None, [item]))


def _setitem(machine: _Machine, op: str, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.top().steps.append(Step(op, None, [key, value]))


def _fill(machine: _Machine, op: str, _: Any) -> None:
    items = machine.pop_marked()
    if op == "SETITEMS" and len(items) % 2:
        raise FormatError("SETITEMS finds a key without a value", machine.at)
    machine.top().steps.append(Step(op, None, items))


def _dict(machine: _Machine, op: str, _: Any) -> None:
    items = machine.pop_marked()
    if len(items) % 2:
        raise FormatError("DICT finds a key without a value", machine.at)
    machine.push(Dict(op, None, items))


def _build(machine: _Machine, op: str, _: Any) -> None:
    state = machine.pop()
    machine.top().steps.append(Step(op, None, [state]))


def _readonly(machine: _Machine, op: str, _: Any) -> None:
    machine.top().steps.append(Step(op))


def _mark(machine: _Machine, _: str, __: Any) -> None:
    if len(machine.marks) >= machine.limits.marks:
        raise LimitError(f"the pickle opens more than {machine.limits.marks} marks (at byte {machine.at})")
    machine.marks.append(len(machine.stack))


def _pop(machine: _Machine, op: str, _: Any) -> None:
    """POP drops the top value or, where nothing is above it, the top mark; POP_MARK drops both."""
    if machine.popped.end != machine.at or machine.popped.has_mark or op == "POP_MARK":
        machine.popped = _Popped()
    run = machine.popped
    run.ops.append(op)
    run.end = machine.at + 1
    machine.pops_left += 1
    if op == "POP_MARK":
        run.nodes, run.has_mark = machine.pop_marked(), True
    elif machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
        run.has_mark = True
    else:
        run.nodes.insert(0, machine.pop())


def _dup(machine: _Machine, _: str, __: Any) -> None:
    machine.note("duplicate", "DUP doubles a value without the memo")
    node = machine.pop()
    machine.stack += [node, _Got(node, "DUP")]


def _text_slot(machine: _Machine, arg: bytes) -> int:
    try:
        slot = int(arg)
    except ValueError:
        slot = -1
    if slot < 0:
        raise FormatError(f"a memo slot is called {arg[:40]!r}, expected a number", machine.at)
    if str(slot).encode() != arg:
        machine.note("odd slot", f"memo slot {slot} is spelled {arg[:40]!r}")
    return slot


def _put(machine: _Machine, op: str, arg: Any) -> None:
    if op == "MEMOIZE" and (machine.pickle.protocol or 0) < 4:
        machine.note("odd put", "MEMOIZE stands in a pickle below protocol 4")
    slot = len(machine.memo) if arg is None else arg if op != "PUT" else _text_slot(machine, arg)
    if slot > machine.limits.memo_index:
        raise LimitError(f"the pickle asks for memo slot {slot}, beyond {machine.limits.memo_index} (at byte {machine.at})")
    node = machine.top()
    if node.steps and any(step.op in PUTS for step in node.steps):
        machine.note("put twice", "a value is put into two memo slots")
    machine.memo[slot] = _Got(node, "GET" if op == "PUT" else "BINGET" if slot < 256 else "LONG_BINGET")
    node.steps.append(Step(op, arg))


def _get(machine: _Machine, op: str, arg: Any) -> None:
    slot = arg if op != "GET" else _text_slot(machine, arg)
    got = machine.memo.get(slot)
    if got is None:
        raise FormatError(f"memo slot {slot} is fetched but was never put", machine.at)
    if got.fetch != op:
        machine.note("odd fetch", f"memo slot {slot} is fetched by {op}, expected {got.fetch}")
    run = machine.popped
    if run.end == machine.at:
        machine.pops_left -= len(run.ops)
        machine.push(Detour(_popping(run), None, [*run.nodes, got.node]))
    else:
        machine.stack.append(got)


def _popping(run: _Popped) -> str:
    return " ".join(["MARK", *run.ops] if run.has_mark else run.ops)


def _global(machine: _Machine, op: str, arg: Any) -> None:
    machine.push(Global(op, arg, module=arg[0], name=arg[1]))
    machine.pickle.calls.append(machine.stack[-1])  # type: ignore[arg-type]


def _stack_global(machine: _Machine, op: str, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    texts = text(module), text(name)
    if texts[0] is None or texts[1] is None:
        raise FormatError("STACK_GLOBAL finds something other than two texts", machine.at)
    machine.push(Global(op, None, [module, name], module=texts[0], name=texts[1]))
    machine.pickle.calls.append(machine.stack[-1])  # type: ignore[arg-type]


def _extension(machine: _Machine, op: str, arg: Any) -> None:
    machine.push(Global(op, arg, module="copyreg", name=f"extension {arg}"))
    machine.pickle.calls.append(machine.stack[-1])  # type: ignore[arg-type]


def _call(count: int) -> Handler:
    def run(machine: _Machine, op: str, _: Any) -> None:
        parts = [machine.pop() for _ in range(count)]
        node = Call(op, None, parts[::-1])
        machine.push(node)
        machine.pickle.calls.append(node)

    return run


def _call_marked(machine: _Machine, op: str, arg: Any) -> None:
    parts = machine.pop_marked()
    if op == "OBJ" and not parts:
        raise FormatError("OBJ finds no class", machine.at)
    node = Call(op, arg, parts)
    machine.push(node)
    machine.pickle.calls += [node.function, node] if op == "INST" else [node]


def _persistent(machine: _Machine, op: str, arg: Any) -> None:
    if op == "PERSID" and not arg.isascii():
        raise FormatError("a persistent id is not ASCII", machine.at)
    node = Persistent(op, arg, [machine.pop()] if op == "BINPERSID" else [])
    machine.push(node)
    machine.pickle.persistents.append(node)


def _proto(machine: _Machine, _: str, arg: Any) -> None:
    if arg > HIGHEST_PROTOCOL:
        raise FormatError(f"the pickle is of protocol {arg}, expected at most {HIGHEST_PROTOCOL}", machine.at)
    if machine.at == machine.pickle.start:
        machine.pickle.protocol = arg
    else:
        machine.note("late PROTO", "PROTO stands inside the pickle")


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"), _atom),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _atom),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "NEXT_BUFFER"), _atom),
    **dict.fromkeys(("INT", "LONG", "FLOAT", "STRING", "UNICODE"), _line),
    "READONLY_BUFFER": _readonly,
    "EMPTY_LIST": _empty(List),
    "EMPTY_TUPLE": _empty(Tuple),
    "EMPTY_DICT": _empty(Dict),
    "EMPTY_SET": _empty(Set),
    "LIST": _marked(List),
    "TUPLE": _marked(Tuple),
    "FROZENSET": _marked(Set),
    "DICT": _dict,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": _append,
    "SETITEM": _setitem,
    **dict.fromkeys(("APPENDS", "SETITEMS", "ADDITEMS"), _fill),
    "BUILD": _build,
    "MARK": _mark,
    **dict.fromkeys(("POP", "POP_MARK"), _pop),
    "DUP": _dup,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call(2)),
    "NEWOBJ_EX": _call(3),
    **dict.fromkeys(("OBJ", "INST"), _call_marked),
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
    "PROTO": _proto,
}

_DISPATCH: list[tuple[str, Reader | None, Handler | None] | None] = [None] * 256
for _row in OPCODES:
    _reader = None if _row.argument is NOTHING else _row.argument.read
    _DISPATCH[_row.code] = _row.name, _reader, HANDLERS.get(_row.name)


def read_pickle(data: Stream, start: int = 0, limits: Limits = DEFAULT_LIMITS) -> Pickle:
    """Read the stream that begins at byte `start`; its `end` is the byte after STOP.

    Raises LimitError. Every fault of the stream itself is an anomaly on the result, whose root is then None.
    """
    machine = _Machine(limits)
    machine.pickle.start = machine.at = start
    try:
        _run(machine, data, start)
    except FormatError as error:
        machine.pickle.anomalies.append(Anomaly("broken", error.message, error.offset))
        machine.pickle.end = machine.at
        machine.pickle.root = None
    machine.pickle.memo_end = max(machine.memo, default=-1) + 1
    return machine.pickle


def _run(machine: _Machine, data: Stream, at: int) -> None:
    size, limit = len(data), machine.limits.opcodes
    frame_end = no_frame = size + 1
    for done in range(limit):
        machine.at = at
        if at >= frame_end:
            _leave_frame(machine, at == frame_end)
            frame_end = no_frame
        if at >= size:
            raise FormatError("the pickle ends without STOP", at)
        row = _DISPATCH[data[at]]
        if row is None:
            raise FormatError(f"byte 0x{data[at]:02x} is no pickle opcode", at)
        name, read, handle = row
        arg: Any = None
        at += 1
        if read:
            arg, at = read(data, at)
        if handle:
            handle(machine, name, arg)
        elif name == "STOP":
            _leave_frame(machine, frame_end in (at, no_frame))
            return _stop(machine, at)
        else:
            _leave_frame(machine, frame_end == no_frame)
            _frame(machine, done, arg, size - at)
            frame_end = at + arg
    raise LimitError(f"the pickle has more than {limit} opcodes")


def _frame(machine: _Machine, done: int, length: int, left: int) -> None:
    if length > left:
        raise FormatError(f"a frame of {length} bytes reaches past the pickle's end", machine.at)
    frames = machine.pickle.frames
    frames.append((done - len(frames), length))


def _leave_frame(machine: _Machine, is_whole: bool) -> None:
    if not is_whole:
        machine.note("odd frame", "a frame ends inside an opcode, behind the pickle or in another frame")


def _stop(machine: _Machine, end: int) -> None:
    pickle = machine.pickle
    pickle.root = machine.pop()
    pickle.end = end
    if machine.stack or machine.marks:
        machine.note("left over", "values are left on the stack")
    if machine.pops_left:
        machine.note("popped", "values are made and thrown away")
