"""What an opcode means: the value that it fetches, the object that it builds and where that is in the tree."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError
from ptzip.io.sources import Position
from ptzip.mapping.execution import Step
from ptzip.pickling.machine import value_of
from ptzip.pickling.nodes import Atom, Call, Global, List, Node, Persistent, Pickle, Set, Tuple, plain
from ptzip.pickling.nodes import Dict as DictNode
from ptzip.tensors.references import parameter_arguments, storage_ref, tensor_ref
from ptzip.text import as_text
from ptzip.tree.children import node_children
from ptzip.tree.paths import TOP, walk

MOST_TEXT = 60
"""How many characters of a text are part of a meaning."""

MOST_BYTES = 16
"""How many bytes of an opcode are kept; its argument has the others."""

MOST_VALUES = 4
"""How many values on top of the stack are described."""

Paths = Mapping[int, str]
"""The path of every object of a pickle, by the offset of its opcode."""


class OpcodeLine(NamedTuple):
    """One opcode: where it is, its argument, and its meaning ("" where the argument shows it).

    `raw` has the first of its `length` bytes, `marks` the number of marks that are open before it. The stack has `before` and
    `after` it so many values and marks; `stack` are those on top after it, the topmost last. `offset` counts from the start
    of the file or of what `inside` names.
    """

    offset: int
    op: str
    argument: object
    meaning: str
    raw: bytes
    length: int
    marks: int = 0
    before: int = 0
    after: int = 0
    stack: tuple[str, ...] = ()
    inside: str = ""


def object_paths(pickle: Pickle) -> Paths:
    """The paths of all objects but plain values, as far as `Limits.paths` allows; of several of an object the first."""
    found = dict[int, str]()
    if pickle.root is None:
        return found
    try:
        for path, child in walk(pickle.root, node_children, TOP, pickle.limits.paths, is_named_once=lambda _: True):
            if not isinstance(child.value, Atom):
                found.setdefault(child.value.offset, str(path))
    except PtzipError:
        pass  # those above the limit have no names here
    return found


def opcode_line(step: Step, paths: Paths, start: Position, raw: bytes) -> OpcodeLine:
    """An opcode in words; `start` is where the first byte of its stream is."""
    opcode = step.opcode
    return OpcodeLine(
        start.offset + opcode.start,
        opcode.name,
        opcode.argument,
        ", ".join(filter(None, (_meaning(step, paths), _mark(step, start)))),
        raw[:MOST_BYTES],
        opcode.end - opcode.start,
        step.marks,
        step.before,
        step.after,
        _stack(step, paths),
        start.inside,
    )


def _mark(step: Step, start: Position) -> str:
    return "" if step.mark is None else f"MARK at {start.offset + step.mark}"


def _meaning(step: Step, paths: Paths) -> str:
    describe = MEANINGS.get(step.opcode.name)
    top = step.machine.pickle.root if step.opcode.name == "STOP" else step.top
    return "" if describe is None or top is None else describe(step, top, paths)


def _value(_: Step, top: Node, paths: Paths) -> str:
    """What the memo has in the slot, or what is spelled in text or in bytes."""
    return in_words(top, paths)


def _slot(step: Step, _: Node, __: Paths) -> str:
    return f"as {step.slots}"


def _name(_: Step, top: Node, __: Paths) -> str:
    return top.path if isinstance(top, Global) else ""


def _yielded(_: Step, top: Node, paths: Paths) -> str:
    """What a call yields, where that is known, and what it calls."""
    function = (top.path if isinstance(top, Call) else "") or "?"
    found = " ".join(filter(None, (paths.get(top.offset, ""), tensor_words(top))))
    return f"-> {found} by {function}(...)" if found else f"{function}(...)"


def _storage(_: Step, top: Node, __: Paths) -> str:
    return storage_words(top)


def _built(_: Step, top: Node, paths: Paths) -> str:
    """The path of a container where it has one."""
    path = paths.get(top.offset, "")
    return f"-> {path}" if path else ""


def _changed(step: Step, top: Node, paths: Paths) -> str:
    """How many items a container gets, or which object its state."""
    name, items = step.opcode.name, top.steps[-1].items if top.steps else []
    if name == "BUILD":
        return f"the state of {in_words(top, paths)}"
    count = len(items) // 2 if name in ("SETITEM", "SETITEMS") else len(items)
    return f"{count:,} item{'' if count == 1 else 's'} into {in_words(top, paths)}"


def _counted(_: Step, top: Node, paths: Paths) -> str:
    path = paths.get(top.offset, "")
    return f"{len(top.parts):,} item{'' if len(top.parts) == 1 else 's'}" + (f" -> {path}" if path else "")


def _root(_: Step, top: Node, paths: Paths) -> str:
    return f"-> {in_words(top, paths)}"


Describe = Callable[[Step, Node, Paths], str]

MEANINGS: dict[str, Describe] = {
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _value),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4", "FLOAT", "STRING", "UNICODE"), _value),
    "MEMOIZE": _slot,
    **dict.fromkeys(("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"), _name),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"), _yielded),
    **dict.fromkeys(("PERSID", "BINPERSID"), _storage),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"), _built),
    **dict.fromkeys(("TUPLE", "LIST", "FROZENSET", "DICT"), _counted),
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), _built),
    **dict.fromkeys(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"), _changed),
    "STOP": _root,
}
"""The opcodes whose name and argument are not all of their meaning."""

WORDS: dict[type[Node], str] = {DictNode: "dict", List: "list", Set: "set"}


def in_words(node: Node, paths: Paths) -> str:
    """A value in a few words, in constant time: what is below it is not counted."""
    node = plain(node)
    if isinstance(node, Atom):
        return text_of(node.value)
    if isinstance(node, Global):
        return node.path
    if isinstance(node, Persistent):
        return storage_words(node) or "persistent id"
    path = paths.get(node.offset, "")
    if isinstance(node, Call):
        what = tensor_words(node) or f"{node.path or '?'}(...)"
    else:
        what = f"tuple of {len(node.parts):,}" if isinstance(node, Tuple) else WORDS.get(type(node), "value")
    return f"{path}: {what}" if path else what


def text_of(value: object) -> str:
    """A plain value as Python spells it, cut to `MOST_TEXT` characters."""
    is_long = isinstance(value, str | bytes | bytearray) and len(value) > MOST_TEXT
    found = repr(value[:MOST_TEXT]) if is_long else as_text(value) if isinstance(value, int) else repr(value)  # type: ignore[index]
    return f"{found[:MOST_TEXT]}..." if is_long or len(found) > MOST_TEXT + 2 else found


def tensor_words(node: Node) -> str:
    """The dtype and the shape of a strided tensor or a parameter; "" for anything else."""
    inner = parameter_arguments(node)
    try:
        found = tensor_ref(inner[0]) if inner else tensor_ref(node)
    except FormatError:
        return ""
    return f"{found.storage.dtype.name} {list(found.shape)}" if found else ""


def storage_words(node: Node) -> str:
    """The storage that a persistent id names; "" for any other."""
    try:
        storage = storage_ref(node)
    except FormatError:
        return ""
    return f"storage {storage.key}: {storage.numel} x {storage.dtype.name} on {storage.location}" if storage else ""


def _stack(step: Step, paths: Paths) -> tuple[str, ...]:
    """The values and marks on top of the stack, the topmost last."""
    stack, marks = step.machine.stack, step.machine.marks
    at, left, found = len(stack), len(marks), list[str]()
    while len(found) < MOST_VALUES and (at or left):
        if left and marks[left - 1] == at:
            left -= 1
            found.append("MARK")
        else:
            at -= 1
            found.append(in_words(value_of(stack[at]), paths))
    return tuple(reversed(found))
