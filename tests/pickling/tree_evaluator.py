"""Evaluates a tree of builtins, to compare with what `pickle` loads.

A node is one object everywhere, so sharing and recursion are compared too.
"""

import codecs
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ptzip.pickling.nodes import Atom, Call, Dict, List, Node, Persistent, Set, Tuple, item_slots, pairs, plain, walk

CALLS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": codecs.encode,
    **{f"{home}.{kind.__name__}": kind for home in ("builtins", "__builtin__") for kind in (bytes, bytearray, set, frozenset)},
    "collections.OrderedDict": OrderedDict,
}
"""What Python's picklers call to create builtins in old protocols."""


def evaluate(root: Node) -> Any:
    """The object that a loader would build of a tree of builtins."""
    made: dict[int, Any] = {}
    for node in walk(root):
        _make(node, made)
    for node in walk(root):
        _fill(node, made)
    return made[id(plain(root))]


def _make(node: Node, made: dict[int, Any]) -> None:
    """Create a value from its parts, which `walk` yields first; mutable containers are still empty."""
    if isinstance(node, List | Dict):
        made[id(node)] = [] if isinstance(node, List) else {}
    elif isinstance(node, Atom):
        made[id(node)] = node.value
    elif isinstance(node, Tuple):
        made[id(node)] = tuple(made[id(plain(part))] for part in node.parts)
    elif isinstance(node, Set):
        kind = frozenset if node.op == "FROZENSET" else set
        made[id(node)] = kind(made[id(plain(part))] for part in node.parts)
    elif isinstance(node, Call):
        made[id(node)] = _called(node, made)
    elif isinstance(node, Persistent):
        made[id(node)] = ("persistent", made[id(node.id)])


def _called(node: Call, made: dict[int, Any]) -> Any:
    arguments = [made[id(plain(argument))] for argument in node.arguments]
    if node.path in ("builtins.set", "__builtin__.set", "builtins.frozenset", "__builtin__.frozenset"):
        arguments = [[made[id(slot.node)] for slot in item_slots(plain(node.arguments[0]))]]
    return CALLS[node.path](*arguments)


def _fill(node: Node, made: dict[int, Any]) -> None:
    if isinstance(node, List):
        made[id(node)] += [made[id(slot.node)] for slot in item_slots(node)]
    elif isinstance(node, Set) and node.op == "EMPTY_SET":
        made[id(node)].update(made[id(slot.node)] for slot in item_slots(node))
    elif isinstance(node, Dict):
        made[id(node)].update({made[id(key)]: made[id(value)] for key, value in pairs(node)})


def alike(one: Any, other: Any, seen: dict[int, int] | None = None) -> bool:
    """Whether two values are equal, type by type and bit by bit, and share their parts in the same way."""
    seen = {} if seen is None else seen
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if not isinstance(one, list | dict | tuple):
        return bool(one == other)
    if id(one) in seen:
        return seen[id(one)] == id(other)
    seen[id(one)] = id(other)
    ours, theirs = _parts(one), _parts(other)
    return len(ours) == len(theirs) and all(alike(*pair, seen) for pair in zip(ours, theirs, strict=True))


def _parts(value: Any) -> list[Any]:
    return [part for pair in value.items() for part in pair] if isinstance(value, dict) else list(value)
