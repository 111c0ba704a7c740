"""States that give an object what Python, or torch, looks up and calls on it: a pickle needs no import for that.

BUILD sets attributes. One named like a special method is called at the next opcode or on deletion, one named like a method
of a container when a later opcode fills the object.
"""

from collections.abc import Iterator
from itertools import islice

from ptzip.allowlist.signatures import word
from ptzip.allowlist.table import FILLED_BY, allowed_row
from ptzip.pickling.nodes import (
    TEXTS,
    Atom,
    Call,
    Global,
    List,
    Node,
    Pickle,
    Tuple,
    item_slots,
    pairs,
    plain,
    text,
    walk_unordered,
)
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import SUBCLASSES
from ptzip.tree.calls import PARTIALS

SPECIAL_METHODS = frozenset(
    f"__{name}__"
    for name in (
        *("setstate", "reduce", "reduce_ex", "class", "getattr", "getattribute", "call", "del", "init", "new", "iter", "next"),
        *(
            "getstate",
            "deepcopy",
            "copy",
            "array",
            "torch_function",
            "enter",
            "exit",
            "hash",
            "eq",
            "repr",
            "str",
            "format",
            "len",
            "builtins",
            "globals",
            "code",
        ),
    )
)
"""Attributes that Python itself looks up and calls."""

METHODS = frozenset(name for kind in (list, dict, set) for name in dir(kind) if not name.startswith("_")) | frozenset(
    ("detach", "requires_grad_", "to", "clone", "as_subclass", "set_")
)
"""Methods that opcodes call, and torch's functions with what they are given: an attribute of that name may be data or a layer,
but no class."""

ATTRIBUTE_DICTS = frozenset(("_modules", "_parameters", "_buffers", "__dict__"))
"""Dicts in the state of an object, in which it looks up attributes too (`torch/nn/modules/module.py`, `__getattr__`)."""

SET_STATES = SUBCLASSES | {"torch._utils._rebuild_parameter_with_state"}
SET_STATE = 3
"""Functions that set attributes, and the index of those among the arguments (`torch/_utils.py`, `_set_obj_state`)."""

MOST_COMPUTED = 1000
"""How many nodes of a state are looked at that is computed."""


def built_names(pickle: Pickle) -> Iterator[Global]:
    """Names that BUILD gives a state: classes, functions and modules themselves, also those in a persistent id."""
    for ident in pickle.persistents:
        described = class_ref(ident) if _is_built(ident) else None
        if described is not None:
            yield described
    for node in pickle.calls:
        if isinstance(node, Global) and _is_built(node):
            yield node


def _is_built(node: Node) -> bool:
    return any(step.op == "BUILD" for step in node.steps)


def special_methods(pickle: Pickle) -> Iterator[tuple[Call, str]]:
    """Objects that get a special method by one of their states, and its name; a state that several share is reported once."""
    setters = SET_STATES.intersection(node.path for node in pickle.calls if isinstance(node, Global))
    seen = set[int]()
    for call in pickle.calls:
        if isinstance(call, Call):
            given = [plain(step.items[0]) for step in call.steps if step.op == "BUILD"]
            if setters and call.path in setters:
                given += map(plain, call.arguments[SET_STATE : SET_STATE + 1])
            for state, is_slots in _dicts(given):
                if id(state) not in seen:
                    seen.add(id(state))
                    yield from ((call, name) for name in _special_names(state, is_slots, seen))
                    if _is_container(call):
                        yield from ((call, name) for key, _ in _entries(state) if (name := text(key) or "") in METHODS)


def _is_container(call: Call) -> bool:
    """Whether a call returns one of Python's containers, whose methods others call."""
    function = call.function
    row = allowed_row(function.module, function.name) if isinstance(function, Global) else None
    return row is not None and row.returns in FILLED_BY and row.returns != "instance"


def _dicts(states: list[Node]) -> Iterator[tuple[Node, bool]]:
    """The dicts that states consist of, and whether each is that of the slots: a state is one, or a tuple of two."""
    for state in states:
        parts = state.parts[:2] if isinstance(state, Tuple) else []
        yield state, False
        yield from ((plain(part), index > 0) for index, part in enumerate(parts))


def _special_names(state: Node, is_slots: bool, seen: set[int] | None = None) -> Iterator[str]:
    """The special names that a state sets, also in its dicts of attributes that are not `seen` yet; in one that is computed,
    any among the texts of its calls.
    """
    for key, value in _entries(state):
        if key.op in TEXTS and not key.arg.startswith("_") and key.arg not in METHODS:
            continue  # nearly all keys
        name = text(plain(key.arguments[0])) if isinstance(key, Call) and key.arguments else text(key)
        is_set = not isinstance(value, Atom) or is_slots
        is_special = name in SPECIAL_METHODS and (is_set or isinstance(key, Call))
        if is_special or (is_slots and (name or "").startswith("__")) or (name in METHODS and _is_class(value)):
            yield name or ""
        if seen is not None and name in ATTRIBUTE_DICTS and id(value) not in seen:
            seen.add(id(value))
            yield from _special_names(value, False)
    for node in islice(walk_unordered(state), MOST_COMPUTED) if isinstance(state, Call) else ():
        if (name := word(node)) in SPECIAL_METHODS:
            yield name


def _entries(state: Node) -> Iterator[tuple[Node, Node]]:
    """Keys and values of a dict, or of the pairs by which one is updated."""
    yield from pairs(state)
    for slot in item_slots(state):
        pair = slot.node
        if isinstance(pair, Tuple | List) and len(found := list(islice(item_slots(pair), 3))) == 2:
            yield found[0].node, found[1].node


def _is_class(node: Node) -> bool:
    """Whether a value can be called with anything: a class or function, unless it is a pure one that is only stored."""
    if isinstance(node, Call):
        return node.path in PARTIALS
    row = allowed_row(node.module, node.name) if isinstance(node, Global) else None
    return isinstance(node, Global) and (row is None or row.check is not None)
