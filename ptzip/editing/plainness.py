"""A checkpoint in which nothing needs a class: what `torch.load(weights_only=True)` takes.

    a whole module          its state dict
    a number of numpy       a number; an array a tensor
    a defaultdict, a Counter, a namespace or any other object: a dict of what it holds
    a member of an enum     its value; a path its text; any other name itself, as text

Rule: what is allowed already stays as it is, and values that stand in two places still stand in both; only the spelling of
old and of newer pickles changes to that of protocol 2, which is the one that is read.
"""

from typing import NamedTuple

from ptzip.allowed.weights_only import CALLED, HELD, OPCODES
from ptzip.editing.account import Step
from ptzip.editing.edit import Edit
from ptzip.editing.modules import attributes, class_path, is_module, plain_names, state_dict
from ptzip.editing.numpyvalues import ARRAYS, SCALARS, Array, array, scalar
from ptzip.editing.places import key_name
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Set,
    Slot,
    Tuple,
    atom,
    filled,
    item_slots,
    listed,
    memoized,
    named,
    pair_slots,
    pairs,
    plain,
)
from ptzip.source import Literal
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import contiguous

SUBCLASS = frozenset(("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"))
MOST_BITS = 8 * 255 - 1
"""Longer numbers have an opcode that is not read."""

OTHER_PUTS = frozenset(("PUT", "MEMOIZE"))
PATHS = ("pathlib.", "pathlib._local.")


class Place(NamedTuple):
    """A slot that is still to be made plain, its dotted path, and whether it is the key of a dict, which has to stay one."""

    slot: Slot
    path: str
    is_key: bool = False


class Plainness:
    """One pass over a tree; `done` are the nodes by the identity of those that they took the place of."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.done: dict[int, Node] = {}
        self.kept_alive: list[Node] = []
        self.arrays = self.numbers = 0

    def run(self, holder: list[Node]) -> None:
        pending = [Place(Slot(holder, 0), "")]
        while pending:
            slot, path, is_key = pending.pop()
            node = slot.node
            if id(node) not in self.done:
                new = self._plain(node, path)
                new = _hashable(new, len(self.done)) if is_key else new
                self.done[id(node)] = self.done[id(new)] = new
                self.kept_alive.append(node)
                pending += _inside(new, path)
            if self.done[id(node)] is not slot.holder[slot.index]:
                slot.put(self.done[id(node)])

    def _plain(self, node: Node, path: str) -> Node:
        """A node that takes the place of another; itself where it may stay."""
        if isinstance(node, Call):
            return _respelled(self._call(node, path))
        if isinstance(node, Global) and node.path not in HELD:
            return self._told(path, atom(node.path), f"the name of {node.path}")
        return _respelled(node)

    def _call(self, call: Call, path: str) -> Node:
        if is_module(call):
            lost = [name for name in plain_names(call) if not name.startswith("_") and name != "training"]
            without = f", without its {', '.join(lost)}" if lost else ""
            return self._told(path, ordered(state_dict(call)), f"the state dict of {class_path(call)}{without}")
        if call.path in CALLED:
            return call
        if call.path in SUBCLASS:
            return self._subclass(call, path)
        return self._value(call, path) or self._object(call, path)

    def _subclass(self, call: Call, path: str) -> Node:
        """A tensor of another class, with attributes: the tensor, where it has one of its own (`torch/_tensor.py`)."""
        function, _, arguments, *_ = [plain(argument) for argument in call.arguments]
        if isinstance(function, Global) and function.path in CALLED and isinstance(arguments, Tuple):
            return self._told(path, Call("REDUCE", None, [function, arguments], [memoized()]), "a plain tensor")
        self.edit.warnings.append(
            f"{path or 'the object'} is a tensor of a class of its own, which weights_only has to be told of"
        )
        return call

    def _value(self, call: Call, path: str) -> Node | None:
        """A number, a tensor or a text that a call stands for."""
        if call.path in SCALARS and (number := scalar(call)) is not None:
            self.numbers += 1
            return atom(number)
        if call.path in ARRAYS and (found := array(call)) is not None and BY_NAME[found.dtype].storage:
            return self._told(path, self._tensor(found), "a tensor")
        given = [plain(argument) for argument in call.arguments]
        if call.path.startswith(PATHS) and all(isinstance(part, Atom) for part in given):
            return self._told(path, atom("/".join(str(part.value) for part in given if isinstance(part, Atom))), "a text")
        is_wrapped = len(given) == 1 and isinstance(given[0], Atom) and not call.steps[1:]
        return self._told(path, given[0], f"the value of {call.path}") if is_wrapped and call.op == "REDUCE" else None

    def _object(self, call: Call, path: str) -> Node:
        """The dict of what an object holds: its items, and its attributes."""
        inside = attributes(call)
        items = [one for holder in (call, inside) if holder is not None for pair in pairs(holder) for one in pair]
        made = class_path(call) or "something"
        values = [slot.node for slot in item_slots(call)]
        if values and not items:
            return self._told(path, listing(values), f"a list, instead of {made}")
        return self._told(path, dictionary(items), f"a dict, instead of {made}")

    def _told(self, path: str, new: Node, what: str) -> Node:
        self.edit.note(Step.OTHER, path or "object", what)
        return new

    def _tensor(self, found: Array) -> Call:
        """A tensor on a new storage."""
        key, dtype = f"array {self.arrays}", BY_NAME[found.dtype]
        self.arrays += 1
        self.edit.payloads[key] = Literal(found.data)
        items = (atom("storage"), named("torch", dtype.storage), atom(key), atom("cpu"), atom(len(found.data) // dtype.size))
        holder = Persistent("BINPERSID", None, [Tuple("TUPLE", None, list(items))])
        stride = contiguous(found.shape[::-1])[::-1] if found.is_fortran else contiguous(found.shape)
        sizes = [Tuple("TUPLE", None, [atom(number) for number in numbers]) for numbers in (found.shape, stride)]
        arguments = [holder, atom(0), *sizes, atom(False), ordered([])]
        return Call(
            "REDUCE", None, [named("torch._utils", "_rebuild_tensor_v2"), Tuple("TUPLE", None, arguments)], [memoized()]
        )


def make_plain(edit: Edit) -> None:
    """Take everything that needs a class out of the tree of an edit."""
    pickle = edit.checkpoint.pickle
    holder = [edit.root]
    plainness = Plainness(edit)
    plainness.run(holder)
    pickle.root = holder[0]
    if plainness.numbers:
        edit.note(Step.OTHER, "object", f"{plainness.numbers} numbers of numpy are plain ones")
    if pickle.protocol != 2:
        edit.note(Step.OTHER, "pickle", f"protocol {pickle.protocol} -> 2")
        pickle.protocol, pickle.frames = 2, []


def dictionary(items: list[Node]) -> Dict:
    """A dict of keys and values in turn."""
    return Dict("EMPTY_DICT", None, [], [memoized(), *([filled(items)] if items else [])])


def listing(items: list[Node]) -> List:
    return List("EMPTY_LIST", None, [], [memoized(), *([listed(items)] if items else [])])


def ordered(entries: list[tuple[str, Node]]) -> Call:
    """An OrderedDict."""
    made = Call("REDUCE", None, [named("collections", "OrderedDict"), Tuple("EMPTY_TUPLE")], [memoized()])
    if entries:
        made.steps = [memoized(), filled([one for name, value in entries for one in (atom(name), value)])]
    return made


def _inside(node: Node, path: str) -> list[Place]:
    """Every slot right below a node."""
    keys = {(id(slot.holder), slot.index): key for key, slot in pair_slots(node)}
    holders = [node.parts, *(step.items for step in node.steps)]
    places = list[Place]()
    for holder in holders:
        for index in range(len(holder)):
            key = keys.get((id(holder), index))
            name = f"{path}.{key_name(key)}".lstrip(".") if key is not None else path
            places.append(Place(Slot(holder, index), name, (id(holder), index + 1) in keys))
    return places[::-1]


def _hashable(node: Node, number: int) -> Node:
    """A key for a key: a set as a tuple, anything else that Python takes for no key as a text of its own."""
    if isinstance(node, Call) and node.path == "builtins.set":
        return Tuple("TUPLE", None, [slot.node for slot in item_slots(plain(node.arguments[0]))])
    return atom(f"object {number}") if isinstance(node, Dict | List) else node


def _respelled(node: Node) -> Node:
    """The same value in the opcodes of protocol 2 that are known to be read."""
    if isinstance(node, Atom) and node.op not in OPCODES:
        return _atom(node.value)
    if isinstance(node, Global) and node.op != "GLOBAL":
        return named(node.module, node.name)
    if isinstance(node, Set):
        inner = listing([slot.node for slot in item_slots(node)])
        return Call("REDUCE", None, [named("builtins", "set"), Tuple("TUPLE1", None, [inner])], [memoized()])
    if isinstance(node, Dict) and node.op != "EMPTY_DICT":
        return dictionary([one for pair in pairs(node) for one in pair])
    if isinstance(node, List) and node.op != "EMPTY_LIST":
        return listing([slot.node for slot in item_slots(node)])
    if any(step.op in OTHER_PUTS for step in node.steps):
        node.steps = [memoized() if step.op in OTHER_PUTS else step for step in node.steps]
    return node


def _atom(value: object) -> Node:
    if isinstance(value, bytes | bytearray):
        arguments: list[Node] = [atom(bytes(value).decode("latin-1")), atom("latin1")]
        return Call("REDUCE", None, [named("_codecs", "encode"), Tuple("TUPLE2", None, arguments)], [memoized()])
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return atom(hex(value))
    return atom(value if isinstance(value, str | int | float | bool) else None)
