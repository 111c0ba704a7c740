"""What each opcode does to the machine: `EFFECTS`, one function per kind of opcode; no code is ever run.

The effects are those of CPython's C unpickler (`Modules/_pickle.c`, the `load_` functions). Whatever `writer` could not write
again in the same way is recorded as an anomaly.
"""

from collections.abc import Callable
from typing import Any

from ptzip.errors import FormatError, beyond
from ptzip.pickling.machine import Machine
from ptzip.pickling.memo import get, put
from ptzip.pickling.nodes import (
    NOTHING,
    PAIRED,
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Set,
    Step,
    Tuple,
    plain,
    text,
)
from ptzip.pickling.opcodes import HIGHEST_PROTOCOL

Effect = Callable[[Machine, str, Any], None]
"""Called with the machine, the name of the opcode and its argument."""

CHANGED_BY = {"APPEND": List, "APPENDS": List, "SETITEM": Dict, "SETITEMS": Dict, "ADDITEMS": Set}
MARKED_KINDS = {"LIST": List, "TUPLE": Tuple, "FROZENSET": Set}
_OBJECTS = (Call, Global, Persistent)
"""The nodes whose changes `scan` judges by the allow list."""

FEW_ITEMS = 8
"""How many items of a tuple count only as opcodes, as those of the arguments and shapes of tensors."""

LONGEST_NAME = 512
"""The most characters of a module or a name: no module is named by more, so a loader fails there too."""


def _atom(machine: Machine, op: str, arg: Any) -> None:
    machine.push(Atom(op, arg, NOTHING, NOTHING))


def _line(machine: Machine, op: str, arg: Any) -> None:
    """A value written as a line of text, which may be invalid."""
    node = Atom(op, arg, NOTHING, NOTHING)
    try:
        value = node.value
        is_usual = type(value) is not int or b"%d" % value == arg.removesuffix(b"L")
    except ValueError as error:
        raise FormatError(f"{op} has the invalid argument {arg[:40]!r}", machine.at) from error
    if not is_usual:
        machine.note("odd number", f"a number is written as {arg[:40]!r}, which versions of Python read differently")
    machine.push(node)


def _empty(kind: type[Node]) -> Effect:
    def run(machine: Machine, op: str, _: Any) -> None:
        machine.push(kind(op, None, NOTHING, NOTHING))
        machine.nest()

    return run


def _marked(machine: Machine, op: str, _: Any) -> None:
    items = machine.pop_marked()
    machine.push(MARKED_KINDS[op](op, None, items, NOTHING))
    machine.fill(len(items) if op != "TUPLE" else max(0, len(items) - FEW_ITEMS))


def _tuple_of(count: int) -> Effect:
    def run(machine: Machine, op: str, _: Any) -> None:
        machine.push(Tuple(op, None, machine.pop_several(count), NOTHING))

    return run


def _tuple_of_one(machine: Machine, op: str, _: Any) -> None:
    machine.push(Tuple(op, None, [machine.pop()], NOTHING))
    machine.nest()


def _change(machine: Machine, op: str, items: list[Node]) -> None:
    """Apply an opcode to the value on top. Only objects have methods that it would call instead of filling a container."""
    node = machine.top()
    if type(node) is not CHANGED_BY.get(op) and type(node) not in _OBJECTS:
        machine.note("odd step", f"{op} is applied to a value that it does not fit")
    node.add(Step(op, None, items))
    machine.fill(len(items) // 2 if op in PAIRED else len(items))


def _step(machine: Machine, op: str, _: Any) -> None:
    _change(machine, op, [machine.pop()])


def _setitem(machine: Machine, op: str, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _change(machine, op, [key, value])


def _fill(machine: Machine, op: str, _: Any) -> None:
    items = machine.pop_marked()
    if op == "SETITEMS" and len(items) % 2:
        raise FormatError("SETITEMS has a key without a value", machine.at)
    _change(machine, op, items)


def _dict(machine: Machine, op: str, _: Any) -> None:
    items = machine.pop_marked()
    if len(items) % 2:
        raise FormatError("DICT has a key without a value", machine.at)
    machine.push(Dict(op, None, items))
    machine.fill(len(items) // 2)


def _mark(machine: Machine, _: str, __: Any) -> None:
    if len(machine.marks) >= machine.limits.marks:
        raise beyond("marks", machine.limits.marks, "more marks are open than", machine.at)
    machine.marks.append(len(machine.stack))


def _pop(machine: Machine, op: str, _: Any) -> None:
    """POP drops the top value or, where nothing is above it, the top mark; POP_MARK drops both."""
    run = machine.popped
    if run.end != machine.at or run.has_mark or op == "POP_MARK":
        run.clear()
    run.ops.append(op)
    run.end = machine.at + 1
    machine.pops_left += 1
    if op == "POP_MARK":
        run.nodes, run.has_mark = machine.pop_marked(), True
        machine.discard(run.nodes)
    elif machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
        run.has_mark = True
    else:
        run.nodes.append(machine.pop())
        machine.discard(run.nodes[-1:])


def _dup(machine: Machine, _: str, __: Any) -> None:
    machine.note("duplicate", "DUP duplicates a value without the memo")
    node = machine.pop()
    machine.share(node)
    machine.stack += [node, (node,)]


def _push_call(machine: Machine, node: Node) -> None:
    machine.push(node)
    machine.pickle.calls.append(node)


def _check_name(machine: Machine, module: str, name: str) -> None:
    if len(module) > LONGEST_NAME or len(name) > LONGEST_NAME:
        raise FormatError(f"the name of a global has more than {LONGEST_NAME} characters", machine.at)


def _global(machine: Machine, op: str, arg: Any) -> None:
    _check_name(machine, *arg)
    _push_call(machine, Global(op, arg, NOTHING, NOTHING, module=arg[0], name=arg[1]))


def _stack_global(machine: Machine, op: str, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    texts = text(plain(module)), text(plain(name))
    if texts[0] is None or texts[1] is None:
        machine.note("computed name", "the name of a STACK_GLOBAL is computed while loading")
        raise FormatError("the operands of STACK_GLOBAL are not two strings", machine.at)
    _check_name(machine, texts[0], texts[1])
    _push_call(machine, Global(op, None, [module, name], module=texts[0], name=texts[1]))


def _extension(machine: Machine, op: str, arg: Any) -> None:
    _push_call(machine, Global(op, arg, NOTHING, NOTHING, module="copyreg", name=f"extension {arg}"))


def _call(count: int) -> Effect:
    def run(machine: Machine, op: str, _: Any) -> None:
        _push_call(machine, Call(op, None, machine.pop_several(count), NOTHING))

    return run


def _call_marked(machine: Machine, op: str, arg: Any) -> None:
    parts = machine.pop_marked()
    if op == "OBJ" and not parts:
        raise FormatError("OBJ has no class", machine.at)
    if op == "INST":
        _check_name(machine, *arg)
    node = Call(op, arg, parts)
    machine.push(node)
    machine.pickle.calls += [node.function, node] if op == "INST" else [node]


def _persistent(machine: Machine, op: str, arg: Any) -> None:
    if op == "PERSID" and not arg.isascii():
        raise FormatError("a persistent id is not ASCII", machine.at)
    node = Persistent(op, arg, [machine.pop()] if op == "BINPERSID" else [])
    machine.push(node)
    machine.pickle.persistents.append(node)


def _proto(machine: Machine, _: str, arg: Any) -> None:
    if arg > HIGHEST_PROTOCOL:
        raise FormatError(f"the pickle has protocol {arg}, expected at most {HIGHEST_PROTOCOL}", machine.at)
    if machine.at == machine.pickle.start:
        machine.pickle.protocol = arg
    else:
        machine.note("late PROTO", "PROTO is not the first opcode of the pickle")


EFFECTS: dict[str, Effect] = {
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"), _atom),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _atom),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "NEXT_BUFFER"), _atom),
    **dict.fromkeys(("INT", "LONG", "FLOAT", "STRING", "UNICODE"), _line),
    "READONLY_BUFFER": lambda machine, op, _: machine.top().add(Step(op)),
    "EMPTY_LIST": _empty(List),
    "EMPTY_TUPLE": _empty(Tuple),
    "EMPTY_DICT": _empty(Dict),
    "EMPTY_SET": _empty(Set),
    **dict.fromkeys(MARKED_KINDS, _marked),
    "DICT": _dict,
    "TUPLE1": _tuple_of_one,
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": _step,
    "SETITEM": _setitem,
    **dict.fromkeys(("APPENDS", "SETITEMS", "ADDITEMS"), _fill),
    "BUILD": _step,
    "MARK": _mark,
    **dict.fromkeys(("POP", "POP_MARK"), _pop),
    "DUP": _dup,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), get),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call(2)),
    "NEWOBJ_EX": _call(3),
    **dict.fromkeys(("OBJ", "INST"), _call_marked),
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
    "PROTO": _proto,
}
