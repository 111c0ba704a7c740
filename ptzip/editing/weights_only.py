"""A checkpoint in which nothing needs a class: what `torch.load(weights_only=True)` takes.

    a whole module              its state dict
    a number of numpy           a number; an array a tensor
    a namespace, an object      a dict of its attributes, of a defaultdict of its items
    a Counter, a namedtuple     the dict, the tuple of what it holds; a frozenset a set
    a member of an enum         its value; a path its text; any other name itself, as text

Rule: what is allowed already stays as it is, and values that stand in two places still stand in both; what has none of these
forms is refused, with its place.
"""

from enum import IntEnum
from typing import NamedTuple

from ptzip.allowlist.table import WEIGHTS_ONLY_CALLS, WEIGHTS_ONLY_NAMES
from ptzip.editing.account import Category, Dropped
from ptzip.editing.edit import Edit, storages_of
from ptzip.editing.numpy_nodes import ARRAYS, SCALARS, Array, array, scalar
from ptzip.editing.protocol2 import respelled
from ptzip.errors import EditError
from ptzip.io.payloads import BytesPayload
from ptzip.pickling.new_nodes import atom, called, memoized, named, new_dict, new_list, new_tuple, ordered
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Slot,
    Tuple,
    item_slots,
    pair_slots,
    pairs,
    plain,
)
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import contiguous
from ptzip.tree.calls import RECONSTRUCTORS, class_path
from ptzip.tree.children import node_key_text
from ptzip.tree.modules import attributes, is_module, plain_names, state_dict

SUBCLASS = frozenset(("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"))
SETS = frozenset(("builtins.set", "__builtin__.set"))
FROZEN = frozenset(("builtins.frozenset", "__builtin__.frozenset"))
FILLED = frozenset(("collections.defaultdict",))
"""Containers whose arguments are not what they hold."""

NUMERIC = ("torch.", "numpy.")
"""Whose objects are more than what they are given."""

PATHS = ("pathlib.", "pathlib._local.")


class Held(IntEnum):
    """What a place asks of its value: that it can be a key, as keys of dicts and members of sets must, or holds such."""

    ANYTHING = 0
    KEY = 1
    MEMBERS = 2
    ARGUMENTS = 3


class Place(NamedTuple):
    """A slot that is still to be made plain, its dotted path, and what it asks of its value."""

    slot: Slot
    path: str
    held: Held = Held.ANYTHING


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
            slot, path, held = pending.pop()
            node = slot.node
            if id(node) not in self.done:
                new = self._plain(node, path)
                self.done[id(node)] = self.done[id(new)] = new
                self.kept_alive.append(node)
                pending += _inside(new, path, held)
            new = _hashable(self.done[id(node)], len(self.done)) if held == Held.KEY else self.done[id(node)]
            if new is not slot.holder[slot.index]:
                slot.put(new)

    def _plain(self, node: Node, path: str) -> Node:
        """A node that takes the place of another; itself where it may stay."""
        if isinstance(node, Call):
            return respelled(self._call(node, path))
        if isinstance(node, Global) and node.path not in WEIGHTS_ONLY_NAMES:
            return self._told(path, atom(node.path), f"the name of {node.path}")
        return respelled(node)

    def _call(self, call: Call, path: str) -> Node:
        if is_module(call):
            lost = [name for name in plain_names(call) if not name.startswith("_") and name != "training"]
            without = f", without its {', '.join(lost)}" if lost else ""
            return self._told(path, ordered(state_dict(call)), f"the state dict of {class_path(call)}{without}")
        if call.path in WEIGHTS_ONLY_CALLS:
            return call
        if call.path in SUBCLASS:
            return self._subclass(call, path)
        return self._value(call, path) or self._object(call, path)

    def _subclass(self, call: Call, path: str) -> Node:
        """A tensor of another class, with attributes: the tensor, where it has one of its own (`torch/_tensor.py`)."""
        function, _, arguments, *_ = [plain(argument) for argument in call.arguments]
        if isinstance(function, Global) and function.path in WEIGHTS_ONLY_CALLS and isinstance(arguments, Tuple):
            return self._told(path, Call("REDUCE", None, [function, arguments], [memoized()]), "a plain tensor")
        for name in call.arguments:
            self.done[id(plain(name))] = plain(name)
        self.edit.warnings.append(
            f"{path or 'the object'} is a tensor of a class of its own, which weights_only has no name for"
        )
        return call

    def _value(self, call: Call, path: str) -> Node | None:
        """A number, a tensor or a text that a call stands for, or the container that it is given."""
        if call.path in SCALARS and (number := scalar(call)) is not None:
            self.numbers += 1
            return atom(number)
        if call.path in ARRAYS and (found := array(call)) is not None and BY_NAME[found.dtype].storage:
            return self._told(path, self._tensor(found), "a tensor")
        given = [plain(argument) for argument in call.arguments]
        if call.path.startswith(PATHS) and all(isinstance(part, Atom) for part in given):
            return self._told(path, atom("/".join(str(part.value) for part in given if isinstance(part, Atom))), "a text")
        if call.path in FROZEN and len(given) == 1:
            return self._told(path, called("builtins", "set", *given), "a set")
        return self._given(call, given, path)

    def _given(self, call: Call, given: list[Node], path: str) -> Node | None:
        """What an object is made of, where that says all: the value of an enum, the dict of a Counter, a namedtuple's items."""
        if not given or call.path.startswith(NUMERIC) or any(step.op not in PUTS for step in call.steps):
            return None
        if call.op in ("NEWOBJ", "INST", "OBJ"):
            return self._told(path, new_tuple(*given), f"a tuple, instead of {class_path(call)}")
        is_whole = len(given) == 1 and isinstance(given[0], Atom | Dict | List)
        return self._told(path, given[0], f"what {call.path} is given") if is_whole else None

    def _object(self, call: Call, path: str) -> Node:
        """The dict of what an object holds: its items, and its attributes. Raises EditError where that is not all of it."""
        inside, made = attributes(call), class_path(call) or "something"
        is_built = any(step.op == "BUILD" for step in call.steps)
        arguments = [] if call.path in RECONSTRUCTORS else call.arguments
        if call.path.startswith(NUMERIC) or (is_built and inside is None) or (arguments and call.path not in FILLED):
            place = path or "the object"
            raise EditError(f"{place} is made by {call.path or made}, which has no plain form (--drop {place} takes it out)")
        items = [one for holder in (call, inside) if holder is not None for pair in pairs(holder) for one in pair]
        values = [slot.node for slot in item_slots(call)]
        if values and not items:
            return self._told(path, new_list(values), f"a list, instead of {made}")
        return self._told(path, new_dict(items), f"a dict, instead of {made}")

    def _told(self, path: str, new: Node, what: str) -> Node:
        self.edit.note(Category.OTHER, path, what)
        return new

    def _tensor(self, found: Array) -> Call:
        """A tensor on a new storage."""
        key, dtype = f"array {self.arrays}", BY_NAME[found.dtype]
        self.arrays += 1
        self.edit.payloads[key] = BytesPayload(found.data)
        self.edit.reduce(Category.OTHER, -len(found.data))
        numel = atom(len(found.data) // dtype.size)
        identity = new_tuple(atom("storage"), named("torch", dtype.storage), atom(key), atom("cpu"), numel)
        stride = contiguous(found.shape[::-1])[::-1] if found.is_fortran else contiguous(found.shape)
        sizes = [new_tuple(*map(atom, numbers)) for numbers in (found.shape, stride)]
        storage = Persistent("BINPERSID", None, [identity])
        return called("torch._utils", "_rebuild_tensor_v2", storage, atom(0), *sizes, atom(False), ordered([]))


def make_plain(edit: Edit) -> None:
    """Take everything that needs a class out of the tree of an edit."""
    pickle = edit.pickle
    holder = [edit.root]
    plainness, before = Plainness(edit), storages_of(edit.root)
    plainness.run(holder)
    pickle.root = holder[0]
    edit.dropped.append(Dropped(Category.OTHER, before - storages_of(edit.root), 0))
    if plainness.numbers:
        edit.note(Category.OTHER, "", f"{plainness.numbers} numbers of numpy are plain ones")
    if pickle.protocol != 2:
        edit.note(Category.OTHER, "pickle", f"protocol {pickle.protocol} -> 2")
        pickle.protocol, pickle.frames = 2, []


def _inside(node: Node, path: str, held: Held) -> list[Place]:
    """Every slot right below a node."""
    keys = {(id(slot.holder), slot.index): key for key, slot in pair_slots(node)}
    asked = _asked(node, held)
    holders = [node.parts, *(step.items for step in node.steps)]
    places = list[Place]()
    for holder in holders:
        for index in range(len(holder)):
            key = keys.get((id(holder), index))
            name = f"{path}.{node_key_text(key) or '?'}".lstrip(".") if key is not None else path
            places.append(Place(Slot(holder, index), name, Held.KEY if (id(holder), index + 1) in keys else asked))
    return places[::-1]


def _asked(node: Node, held: Held) -> Held:
    """What is asked of all that is right below a node."""
    if isinstance(node, Call):
        return Held.ARGUMENTS if node.path in SETS else Held.ANYTHING
    if held == Held.ARGUMENTS:
        return Held.MEMBERS
    return Held.KEY if held == Held.MEMBERS or (held == Held.KEY and isinstance(node, Tuple)) else Held.ANYTHING


def _hashable(node: Node, number: int) -> Node:
    """A key for a key: a set as a tuple, anything else that Python takes for no key as a text of its own."""
    if isinstance(node, Call) and node.path in SETS:
        return new_tuple(*(slot.node for slot in item_slots(plain(node.arguments[0]))))
    return atom(f"object {number}") if isinstance(node, Dict | List) else node
