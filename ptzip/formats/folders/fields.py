"""Reading the objects of an index as plain fields: instances of dataclasses, tuples, numbers and names. Nothing is built."""

import reprlib

from ptzip.errors import FormatError
from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Tuple, item_slots, pairs, plain, state, text


def fields(node: Node, *classes: str) -> dict[str, Node]:
    """The attributes of an instance of one of some classes, by name. Raises FormatError for anything else."""
    if not isinstance(node, Call) or node.path.rpartition(".")[2] not in classes:
        raise FormatError(
            f"the index of this folder has {_kind(node)} where it should have a {' or '.join(classes)}", node.offset
        )
    built = state(node)
    return {} if built is None else attributes(built)


def attributes(built: Node) -> dict[str, Node]:
    """Those that the state of an object is: its `__dict__`, or that and its `__slots__`."""
    held = map(plain, built.parts) if isinstance(built, Tuple) else [built]
    found = (pair for one in held if isinstance(one, Dict) for pair in pairs(one))
    return {name: value for key, value in found if (name := text(key)) is not None}


def _kind(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, Atom):
        return reprlib.repr(node.value)
    return f"a {node.path or 'call' if isinstance(node, Call | Global) else type(node).__name__.lower()}"


def items(node: Node | None) -> list[Node]:
    """The items of a list, a tuple or a `torch.Size`; none of None."""
    if isinstance(node, Call) and node.path == "torch.Size" and node.arguments:
        node = plain(node.arguments[0])
    if node is None or (isinstance(node, Atom) and node.value is None):
        return []
    if not isinstance(node, List | Tuple):
        raise FormatError(f"the index of this folder has {_kind(node)} where it should have a list", node.offset)
    return [slot.node for slot in item_slots(node)]


def number(node: Node | None) -> int:
    """A number of bytes or elements. Raises FormatError for anything that is no such number."""
    value = node.value if isinstance(node, Atom) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise FormatError(
            f"the index of this folder has {reprlib.repr(value)} where it should have a size",
            None if node is None else node.offset,
        )
    return value


def numbers(node: Node | None) -> tuple[int, ...]:
    return tuple(map(number, items(node)))


def entries(node: Node | None) -> list[tuple[Node, Node]]:
    """The items of a dict; none of None. Raises FormatError for anything else."""
    if node is None or (isinstance(node, Atom) and node.value is None):
        return []
    if not isinstance(node, Dict):
        raise FormatError(f"the index of this folder has {_kind(node)} where it should have a dict", node.offset)
    return list(pairs(node))
