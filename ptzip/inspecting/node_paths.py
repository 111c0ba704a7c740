"""The tree as a user names it: what is below a node, and the way to one.

Rule: the names are those of `Checkpoint.tensors`: keys and attributes as text, places in a list as numbers. What holds the
children of a module (`_modules`, `_parameters`, `_buffers`) is no part of a name.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import EditError
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Set,
    Tuple,
    item_slots,
    pairs,
    plain,
    state,
    text,
)
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import makes_tensor
from ptzip.text import as_text
from ptzip.tree.calls import class_path

HOLDERS = ("_parameters", "_buffers", "_modules")
"""What holds the children of a module, in the order of `state_dict()`."""

ARRAY, SCALAR = "numpy array", "numpy scalar"
ARRAY_MAKERS = frozenset(f"numpy.{home}.multiarray._reconstruct" for home in ("core", "_core"))
SCALAR_MAKERS = frozenset(f"numpy.{home}.multiarray.scalar" for home in ("core", "_core"))

SHOWN_NAMES = 20
"""How many names an error lists."""


class Child(NamedTuple):
    """A node below another: `name` is its part of the dotted name."""

    name: str
    node: Node


def children(node: Node) -> Iterator[Child]:
    """What is right below a node; a tensor or an array has nothing below it."""
    if is_tensor(node) or kind(node).startswith((ARRAY, SCALAR)):
        return
    for key, value in pairs(node):
        yield Child(label(key), value)
    for index, slot in enumerate(item_slots(node)):
        yield Child(str(index), slot.node)
    if isinstance(node, Call):
        yield from _given(node)
        yield from _attributes(state(node))


def is_tensor(node: Node) -> bool:
    """Whether a node is a call that makes a tensor."""
    return isinstance(node, Call) and makes_tensor(class_path(node))


def label(key: Node) -> str:
    """The key of a dict as a part of a name."""
    if isinstance(key, Atom):
        return as_text(key.value)
    if isinstance(key, Global):
        return key.path
    if isinstance(key, Tuple):
        return f"({', '.join(label(plain(part)) for part in key.parts if not isinstance(plain(part), Tuple))})"
    return f"<{kind(key)}>"


def kind(node: Node) -> str:
    """What a node is, in a word: a type of Python, or the name of a class."""
    if is_tensor(node):
        return "tensor"
    if isinstance(node, Call):
        described = class_ref(node.function)
        return _array(node) or class_path(node) or (described.path if described else "call")
    if isinstance(node, Atom):
        return type(node.value).__name__ if node.value is not None else "None"
    names = {Dict: "dict", List: "list", Tuple: "tuple", Set: "set", Global: "name", Persistent: "persistent id"}
    return names.get(type(node), "value")


def _array(node: Call) -> str:
    """A numpy array or scalar with its dtype and shape, as far as they are spelled plainly; "" for anything else."""
    if node.path in SCALAR_MAKERS:
        return f"{SCALAR} of {_dtype(node.arguments[:1])}"
    if node.path not in ARRAY_MAKERS:
        return ""
    built = state(node)
    parts = built.parts if isinstance(built, Tuple) else []
    sizes = [plain(size) for size in plain(parts[1]).parts] if len(parts) > 2 else []
    shape = ", ".join(label(size) for size in sizes if isinstance(size, Atom))
    return f"{ARRAY} of {_dtype(parts[2:3])} [{shape}]"


def _dtype(nodes: list[Node]) -> str:
    made = plain(nodes[0]) if nodes else None
    given = made.arguments if isinstance(made, Call) else []
    return (text(plain(given[0])) if given else None) or "?"


def _given(node: Call) -> Iterator[Child]:
    """What a container is made from: the pairs of an OrderedDict, the items of a set."""
    if class_path(node) != node.path or not node.path.startswith(("collections.", "builtins.", "__builtin__.")):
        return
    for argument in map(plain, node.arguments):
        if isinstance(argument, Dict):
            yield from children(argument)
        elif isinstance(argument, List | Set | Tuple):
            yield from _listed(argument)


def _listed(node: Node) -> Iterator[Child]:
    for index, slot in enumerate(item_slots(node)):
        items = list(item_slots(slot.node)) if isinstance(slot.node, List | Tuple) else []
        if len(items) == 2 and text(items[0].node) is not None:
            yield Child(label(items[0].node), items[1].node)
        else:
            yield Child(str(index), slot.node)


def _attributes(built: Node | None) -> Iterator[Child]:
    """What BUILD gives an object; with `__slots__` it is a pair of dicts."""
    if built is None:
        return
    if not isinstance(built, Tuple | List | Dict):
        yield Child("state", built)
        return
    parts = [built] if isinstance(built, Dict) else [slot.node for slot in item_slots(built)]
    if isinstance(built, Dict) or all(isinstance(part, Dict) or kind(part) == "None" for part in parts):
        for part in parts:
            for key, value in pairs(part):
                yield from children(value) if label(key) in HOLDERS else [Child(label(key), value)]
    else:
        yield from (Child(f"state.{index}", part) for index, part in enumerate(parts))


def find(root: Node, path: str) -> Node:
    """The node of that dotted name. Raises EditError, which says what there is, where there is none.

    A key may hold dots itself, so each beginning of the name is tried, the longest first.
    """
    pending, best = [(root, path)], (root, path)
    while pending:
        node, rest = pending.pop()
        if not rest:
            return node
        if len(rest) < len(best[1]):
            best = node, rest
        matching = [child for child in children(node) if rest == child.name or rest.startswith(child.name + ".")]
        matching.sort(key=lambda child: len(child.name))
        pending += [(child.node, rest[len(child.name) + 1 :]) for child in matching]
    raise EditError(_missing(best[0], path, best[1]))


def _missing(node: Node, path: str, rest: str) -> str:
    way = path[: len(path) - len(rest)].rstrip(".")
    names = [child.name for child in children(node)]
    there = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return f"there is nothing called {rest} {f'below {way}' if way else 'at the top'}; there is {there or 'nothing'}"
