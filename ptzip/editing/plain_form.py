"""`slim --plain`: a tree in which nothing needs a class, as `torch.load(weights_only=True)` requires.

    a module                    its state dict
    a numpy number              a number; an array becomes a tensor
    a namespace, an object      a dict of its attributes; a defaultdict a dict of its items
    a Counter, a namedtuple     the dict or tuple of its contents; a frozenset becomes a set
    an enum member              its value; a path its text; any other name its text too

What is allowed already stays as it is, and a value that is used twice is still one value. Anything else is an EditError that
names the path. Then everything is spelled in opcodes of protocol 2.
"""

from enum import IntEnum
from typing import NamedTuple

from ptzip.allowlist.table import WEIGHTS_ONLY_CALLS, WEIGHTS_ONLY_NAMES
from ptzip.editing.account import Category, Removal
from ptzip.editing.array_tensor import BuildArray, array_tensor
from ptzip.editing.edit import Edit
from ptzip.editing.protocol2 import respelled
from ptzip.editing.quantised import UnstatedModules
from ptzip.editing.storage_users import storages_below
from ptzip.errors import EditError
from ptzip.pickling.new_nodes import atom, called, memoized, new_dict, new_list, new_tuple, ordered
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Slot,
    Tuple,
    item_slots,
    lookup,
    pairs,
    plain,
)
from ptzip.tree.calls import RECONSTRUCTORS, class_path
from ptzip.tree.children import keyed_children
from ptzip.tree.modules import attributes, is_module, plain_names, state_dict
from ptzip.tree.paths import TOP, Path, PathCount

SUBCLASSES = frozenset(("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"))
SETS = frozenset(("builtins.set", "__builtin__.set"))
FROZEN_SETS = frozenset(("builtins.frozenset", "__builtin__.frozenset"))
PATHS = ("pathlib.", "pathlib._local.")
NUMERIC = ("torch.", "numpy.")
"""Packages whose objects are more than their arguments and attributes."""

ARGUMENTS_ARE_NOT_CONTENTS = frozenset(("collections.defaultdict",))


def make_plain(edit: Edit, build_array: BuildArray) -> None:
    """Replace everything in the tree of an edit that needs a class."""
    top, before = [edit.root], storages_below(edit.root)
    replacing = Plain(edit, build_array)
    replacing.run(top)
    edit.pickle.root = top[0]
    edit.account.removals.append(Removal(Category.OTHER, before - storages_below(edit.root), 0))
    if replacing.numbers:
        edit.account.change(Category.OTHER, "", f"{replacing.numbers} numpy numbers became plain numbers")
    if edit.pickle.protocol != 2:
        edit.account.change(Category.OTHER, "pickle", f"protocol {edit.pickle.protocol} -> 2")
        edit.pickle.protocol, edit.pickle.frames = 2, []


class Role(IntEnum):
    """What a value is used as: a key must be hashable in Python, and so must the members of a set."""

    VALUE = 0
    KEY = 1
    LIST_OF_MEMBERS = 2
    ARGUMENTS_OF_SET = 3


class Pending(NamedTuple):
    """A slot whose value is still to be replaced, its path, and what the value is used as."""

    slot: Slot
    path: Path
    role: Role = Role.VALUE


class Plain:
    """One pass over a tree; `done` holds the replacement of every node, itself included, by the identity of the node."""

    def __init__(self, edit: Edit, build_array: BuildArray) -> None:
        self.edit = edit
        self.build_array = build_array
        self.done: dict[int, Node] = {}
        self.kept_alive: list[Node] = []
        self.unstated = UnstatedModules(edit.account.counted)
        self.numbers = 0
        self.paths = PathCount(edit.most_paths)
        """The paths of what is reported, and the names in state dicts."""

    def run(self, top: list[Node]) -> None:
        pending = [Pending(Slot(top, 0), TOP)]
        while pending:
            slot, path, role = pending.pop()
            node = slot.node
            if id(node) not in self.done:
                new = self._replacement(node, path)
                self.done[id(node)] = self.done[id(new)] = new
                self.kept_alive.append(node)
                pending += _slots_below(new, path, role)
            new = _hashable(self.done[id(node)], len(self.done)) if role == Role.KEY else self.done[id(node)]
            if new is not slot.holder[slot.index]:
                slot.put(new)

    def _replacement(self, node: Node, path: Path) -> Node:
        if isinstance(node, Global) and node.path not in WEIGHTS_ONLY_NAMES:
            return self._report(path, atom(node.path), f"the name of {node.path}")
        if not isinstance(node, Call):
            return respelled(node)
        if is_module(node) and isinstance(lookup(attributes(node), "_modules"), Dict | Call):  # in skorch it is a list of names
            return respelled(self._state_dict(node, path))
        if node.path in WEIGHTS_ONLY_CALLS:
            return respelled(node)
        for form in (self._subclass, self._numpy, self._path_or_set, self._only_argument, self._contents):
            new = form(node, path)
            if new is not None:
                return respelled(new)
        name = node.path or class_path(node) or "a function without a name"
        option = f"--drop {path}" if path is not TOP else "--drop"
        raise EditError(f"{_named(path)} is built by {name}, which has no plain form ({option} removes it)")

    def _report(self, path: Path, new: Node, what: str) -> Node:
        self.paths.add(path.length)
        self.edit.account.change(Category.OTHER, str(path), what)
        return new

    # The forms of calls: each gives the replacement of a call, or None for a call that it is not for.

    def _state_dict(self, module: Call, path: Path) -> Node:
        if unstated := self.unstated.first_below(module):
            raise EditError(
                f"{_named(path)} has no plain form: {unstated} keeps quantised weights or their scales outside its "
                "parameters and buffers, and only its class can write their state dict (let it do so, and slim that)"
            )
        lost = [name for name in plain_names(module) if not name.startswith("_") and name != "training"]
        without = f", without its {', '.join(lost)}" if lost else ""
        return self._report(path, ordered(state_dict(module, self.paths)), f"the state dict of {class_path(module)}{without}")

    def _subclass(self, call: Call, path: Path) -> Node | None:
        """A tensor of a subclass, with attributes (`torch/_tensor.py`): the tensor, where another function rebuilds it."""
        if call.path not in SUBCLASSES or len(call.arguments) < 3:
            return None
        function, _, arguments, *_ = [plain(argument) for argument in call.arguments]
        if isinstance(function, Global) and function.path in WEIGHTS_ONLY_CALLS and isinstance(arguments, Tuple):
            return self._report(path, Call("REDUCE", None, [function, arguments], [memoized()]), "a plain tensor")
        self.done |= {id(plain(argument)): plain(argument) for argument in call.arguments}
        self.edit.account.warnings.append(f"{_named(path)} is a tensor of a class that weights_only does not allow")
        return call

    def _numpy(self, call: Call, path: Path) -> Node | None:
        """A number, or an array as a tensor on a new storage."""
        found = self.build_array(call)
        if found is None:
            return None
        if found.number is not None:
            self.numbers += 1
            return atom(found.number)
        tensor = array_tensor(self.edit, found)
        return None if tensor is None else self._report(path, tensor, "a tensor")

    def _path_or_set(self, call: Call, path: Path) -> Node | None:
        """A path of a file as text, a frozenset as a set."""
        arguments = [plain(argument) for argument in call.arguments]
        parts = [part for part in arguments if isinstance(part, Atom)]
        if call.path.startswith(PATHS) and len(parts) == len(arguments):
            return self._report(path, atom("/".join(str(part.value) for part in parts)), "a text")
        if call.path in FROZEN_SETS and len(arguments) == 1:
            return self._report(path, called("builtins", "set", *arguments), "a set")
        return None

    def _only_argument(self, call: Call, path: Path) -> Node | None:
        """The arguments, where these are all of the object: the value of an enum, a Counter's dict, a namedtuple's items."""
        arguments = [plain(argument) for argument in call.arguments]
        if not arguments or call.path.startswith(NUMERIC) or any(step.op not in PUTS for step in call.steps):
            return None
        if call.op in ("NEWOBJ", "INST", "OBJ"):
            return self._report(path, new_tuple(*arguments), f"a tuple, instead of {class_path(call)}")
        is_whole = len(arguments) == 1 and isinstance(arguments[0], Atom | Dict | List)
        return self._report(path, arguments[0], f"the argument of {call.path}") if is_whole else None

    def _contents(self, call: Call, path: Path) -> Node | None:
        """An object as the dict of its items and attributes, or the list of its items, where these are all of it."""
        inside, name = attributes(call), class_path(call) or "an object"
        has_other_state = inside is None and any(step.op == "BUILD" for step in call.steps)
        has_arguments = bool(call.arguments) and call.path not in RECONSTRUCTORS | ARGUMENTS_ARE_NOT_CONTENTS
        if call.path.startswith(NUMERIC) or has_other_state or has_arguments:
            return None
        entries = [one for holder in (call, inside) if holder is not None for pair in pairs(holder) for one in pair]
        items = [slot.node for slot in item_slots(call)]
        if items and not entries:
            return self._report(path, new_list(items), f"a list, instead of {name}")
        return self._report(path, new_dict(entries), f"a dict, instead of {name}")


def _named(path: Path) -> str:
    return str(path) or "the object"


def _slots_below(node: Node, path: Path, role: Role) -> list[Pending]:
    """Every slot directly below a node, the last first."""
    names = {(id(child.slot.holder), child.slot.index): child.part or "" for child in keyed_children(node) if child.slot}
    inner, found = _role_below(node, role), list[Pending]()
    for holder in (node.parts, *(step.items for step in node.steps)):
        for index in range(len(holder)):
            name = names.get((id(holder), index))
            found.append(
                Pending(Slot(holder, index), path.below(name), Role.KEY if (id(holder), index + 1) in names else inner)
            )
    return found[::-1]


def _role_below(node: Node, role: Role) -> Role:
    """What the values directly below a node are used as, keys of dicts aside."""
    if isinstance(node, Call):
        return Role.ARGUMENTS_OF_SET if node.path in SETS else Role.VALUE
    if role == Role.ARGUMENTS_OF_SET:
        return Role.LIST_OF_MEMBERS
    is_member = role == Role.LIST_OF_MEMBERS or (role == Role.KEY and isinstance(node, Tuple))
    return Role.KEY if is_member else Role.VALUE


def _hashable(node: Node, number: int) -> Node:
    """A key for a key: a set as a tuple, any other container as a text of its own."""
    if isinstance(node, Call) and node.path in SETS:
        return new_tuple(*(slot.node for slot in item_slots(plain(node.arguments[0]))))
    return atom(f"object {number}") if isinstance(node, Dict | List) else node
