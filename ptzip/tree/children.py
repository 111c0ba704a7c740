"""What is right below a node of a pickle, by the rules of `tree.paths`, with the slots in which an edit can replace it.

The values below are those that a loader would build, however the pickle spells them: an OrderedDict from a list of pairs, a set
from a list of items, and attributes from a dict or, with `__slots__`, from a pair of dicts are all the same here.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ptzip.globs import Patterns
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import (
    TEXTS,
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
    item_slots,
    lookup,
    pair_slots,
    plain,
    state,
    text,
)
from ptzip.tensors.torch_names import PARAMETERS, REBUILD_JAGGED, SPARSE_COMPONENTS, SUBCLASSES, makes_tensor
from ptzip.text import as_text
from ptzip.tree.calls import GETATTR, NEW_OBJECTS, RECONSTRUCTORS, class_path, qualified_name
from ptzip.tree.kinds import ARRAY_FUNCTIONS, SCALAR_FUNCTIONS
from ptzip.tree.modules import UNNAMED, is_module
from ptzip.tree.paths import TOP, find, key_text, nearest, search, walk

BUILTINS = ("builtins", "__builtin__")
PAIRED = frozenset(
    {*("collections.OrderedDict", "collections.defaultdict", "collections.Counter"), *(f"{module}.dict" for module in BUILTINS)}
)
"""Containers whose argument is a dict or a list of pairs."""

SETS = frozenset(f"{module}.{name}" for module in BUILTINS for name in ("set", "frozenset"))
LISTED = frozenset({"collections.deque", *(f"{module}.{name}" for module in BUILTINS for name in ("list", "tuple"))})
"""Containers whose argument has their items."""

FIRST_ARGUMENT = "torch.jit._pickle."
"""How the names of the functions begin that return their first argument (TorchScript)."""

STATES = {"torch._C.Generator": ("seed", "offset", "state")}
"""Classes whose state is a tuple of fixed parts."""


class NodeChild(NamedTuple):
    """A node below another, with its part of the path, None where it adds none.

    `slot` is the position that holds it, None where nothing else can be put there; `owner` is the dict that can lose its key.
    """

    part: str | None
    value: Node
    slot: Slot | None = None
    owner: Node | None = None


def _fixed(child: NodeChild) -> NodeChild:
    """A child that nothing else can replace: what a function is given, or a state of a form of its own."""
    return child._replace(slot=None, owner=None)


def node_children(node: Node) -> list[NodeChild]:
    """What is right below a node; nothing below plain values, names and persistent ids."""
    return list(each_child(node))


def each_child(node: Node) -> Iterator[NodeChild]:
    """The same one by one: the list of the children of a list of millions takes more memory than these."""
    if isinstance(node, Atom | Global | Persistent):
        return
    if not isinstance(node, Call):
        yield from _entries(pair_slots(node), node)
        yield from _items(node, isinstance(node, Set))
        return
    path = class_path(node)
    if makes_tensor(path):
        yield from _of_tensor(node)
    elif path in ARRAY_FUNCTIONS:
        yield from _of_array(node)
    elif path not in GETATTR and path not in SCALAR_FUNCTIONS:
        yield from _entries(pair_slots(node), node)
        yield from _items(node)
        yield from _arguments(node)
        yield from _of_state(node, path)


def node_key_text(key: Node) -> str | None:
    """The text of a key, or None where it has none: see `key_text`."""
    if isinstance(key, Atom):
        return key_text(key.arg if key.op in TEXTS else key.value)
    if isinstance(key, Tuple):
        parts = [plain(part) for part in key.parts]
        return key_text(tuple(part.value for part in parts if isinstance(part, Atom))) if _are_atoms(parts) else None
    name = qualified_name(key)
    if name is not None:
        return key_text(name.path.replace("__builtin__.", "builtins.", 1))
    given = [plain(argument) for argument in key.arguments] if isinstance(key, Call) and _are_atoms(key.arguments) else []
    values = [argument.value for argument in given if isinstance(argument, Atom)]
    path = key.path if isinstance(key, Call) else ""
    if path == "torch.device":
        return key_text(":".join(map(as_text, values)))
    if path == "torch.serialization._get_layout" and len(values) == 1:
        return key_text(values[0])
    if path == "_codecs.encode" and len(values) == 2 and isinstance(values[0], str) and values[1] == "latin1":
        return key_text(values[0].encode("latin1", "replace"))  # bytes below protocol 3
    return None


def _are_atoms(nodes: list[Node]) -> bool:
    return all(isinstance(plain(node), Atom) for node in nodes)


def keyed_children(node: Node) -> list[NodeChild]:
    """The values of a dict, or of an object filled like one, by their keys."""
    return list(_entries(pair_slots(node), node))


def _entries(pairs: Iterable[tuple[Node, Slot]], owner: Node | None = None) -> Iterator[NodeChild]:
    """Values by their keys; a key without a text is a child as well, since it may be a tensor or have one below it."""
    for index, (key, slot) in enumerate(pairs):
        name = node_key_text(key)
        if name is None:
            name = str(index)
            if not isinstance(key, Atom):
                yield NodeChild(name, key)
        yield NodeChild(name, slot.node, slot, owner)


def _items(node: Node, is_set: bool = False) -> Iterator[NodeChild]:
    for index, slot in enumerate(item_slots(node)):
        name = node_key_text(slot.node) if is_set else None
        yield NodeChild(str(index) if name is None else name, slot.node, slot)


def _arguments(node: Call) -> Iterator[NodeChild]:
    """What a call is given: the contents of a container; for any other call, the arguments that are not plain values."""
    holder, first = (node.parts, 1) if node.op == "OBJ" else (node.arguments, 0)
    given = [Slot(holder, index) for index in range(first, len(holder))]
    path = node.path if given else ""
    if path in PAIRED or path in SETS or path in LISTED:
        for slot in given:
            yield from _contents(slot, path in PAIRED, path in SETS)
    elif path.startswith(FIRST_ARGUMENT):
        inner: Node = node
        while isinstance(inner, Call) and inner.path.startswith(FIRST_ARGUMENT) and inner.arguments:
            inner = plain(inner.arguments[0])
        yield from [] if inner is node else node_children(inner)
    elif path in RECONSTRUCTORS and len(given) > 2 and isinstance(given[2].node, Dict | List):
        yield from node_children(given[2].node)
    else:
        own = given[2:] if path in RECONSTRUCTORS else given[1:] if path in NEW_OBJECTS else given
        yield from (NodeChild(str(index), slot.node) for index, slot in enumerate(own) if not _is_plain(slot.node))
    if node.op == "NEWOBJ_EX":
        yield from (child._replace(owner=None) for child in keyed_children(plain(node.parts[2])))


def _contents(slot: Slot, is_paired: bool, is_set: bool) -> Iterator[NodeChild]:
    """The contents of a container, from one argument of its class."""
    argument = slot.node
    if isinstance(argument, Dict):
        yield from keyed_children(argument)
    elif isinstance(argument, Call):
        yield NodeChild(None, argument, slot)
    elif not is_paired:
        yield from _items(argument, is_set)
    else:
        pairs = [list(item_slots(item.node)) for item in item_slots(argument) if isinstance(item.node, List | Tuple)]
        yield from _entries((pair[0].node, pair[1]) for pair in pairs if len(pair) == 2)


def _is_plain(node: Node) -> bool:
    """Whether an argument is a plain value, a name, or a tuple or simple call of plain values: a device, a size, bytes."""
    if isinstance(node, Call) and node.op != "NEWOBJ_EX" and not any(step.items for step in node.steps):
        return all(map(_is_plain_value, node.arguments))
    return _is_plain_value(node)


def _is_plain_value(node: Node) -> bool:
    found = plain(node)
    return isinstance(found, Atom | Global) or (isinstance(found, Tuple) and _are_atoms(found.parts))


def _of_state(node: Call, path: str) -> Iterator[NodeChild]:
    """What BUILD gives an object: its attributes, mostly."""
    parts_of_class = STATES.get(path)
    for step in node.steps:
        if step.op != "BUILD":
            continue
        built = plain(step.items[0])
        if _is_attributes(built):
            yield from _attributes(built, is_module(node))
        elif parts_of_class and isinstance(built, Tuple):
            yield from (NodeChild(name, one.node) for name, one in zip(parts_of_class, item_slots(built), strict=False))
        elif isinstance(built, List | Tuple | Set):
            yield from map(_fixed, node_children(built))
        else:
            yield NodeChild("state" if isinstance(built, Atom) else None, built)


def _is_attributes(built: Node) -> bool:
    """Whether a state is a dict of attributes or, with `__slots__`, a pair of them, either of which may be None."""
    if not isinstance(built, Tuple):
        return isinstance(built, Dict)
    parts = [plain(part) for part in built.parts]
    return len(parts) == 2 and all(isinstance(part, Dict) or (isinstance(part, Atom) and part.value is None) for part in parts)


def _attributes(built: Node, of_module: bool = False) -> Iterator[NodeChild]:
    for part in [plain(part) for part in built.parts] if isinstance(built, Tuple) else [built]:
        for child in _entries(pair_slots(part)):
            if of_module and child.part in UNNAMED:
                held = child.value
                given = _arguments(held) if isinstance(held, Call) and held.path in PAIRED else ()
                yield from (member._replace(owner=None) for member in (*keyed_children(held), *_items(held), *given))
            else:
                yield child


def _of_array(node: Call) -> Iterator[NodeChild]:
    """The items of an array of Python objects, whose state ends with a list of them; other arrays have bytes there."""
    built = state(node)
    data = plain(built.parts[-1]) if isinstance(built, Tuple) and built.parts else None
    if isinstance(data, List):
        yield from _items(data)


def _of_tensor(node: Call) -> Iterator[NodeChild]:
    """The components of a tensor, which nothing else can replace, and the attributes that Python code gave to it."""
    function, arguments = node.path, node.arguments
    while True:
        given = [plain(argument) for argument in arguments]
        if function in PARAMETERS and given:
            attributes, inner = given[3:4], given[0]
            function, arguments = (inner.path, inner.arguments) if isinstance(inner, Call) else ("", [])
        elif function in SUBCLASSES and len(given) > 2:
            attributes, rebuild = given[3:4], given[0]
            function, arguments = rebuild.path if isinstance(rebuild, Global) else "", given[2].parts
        else:
            break
        for built in attributes:
            yield from map(_fixed, _attributes(built))
    yield from (NodeChild(name, plain(component)) for name, component in _components(function, given))
    for step in node.steps:
        if step.op == "BUILD" and isinstance(plain(step.items[0]), Dict):
            yield from _attributes(plain(step.items[0]))


def _components(function: str, arguments: list[Node]) -> Iterable[tuple[str, Node]]:
    """The tensors that a tensor is made of, by the function of `torch/_utils.py` that rebuilds it."""
    if function in ("torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_sparse_csr_tensor") and len(arguments) > 1:
        return zip(SPARSE_COMPONENTS.get(_layout(arguments[0]), ()), arguments[1].parts, strict=False)
    if function == "torch._utils._rebuild_qtensor" and len(arguments) > 4 and len(arguments[4].parts) == 4:
        return zip(("q_scales", "q_zero_points"), arguments[4].parts[1:], strict=False)
    if function == "torch._utils._rebuild_nested_tensor":
        return zip(("buffer", "sizes", "strides", "offsets"), arguments, strict=False)
    if function == REBUILD_JAGGED and arguments:
        return [(name, part) for name in ("values", "offsets", "lengths") if (part := lookup(arguments[0], name)) is not None]
    return []


def _layout(node: Node) -> str:
    """The name of a layout, which is a name in torch, or the argument of `torch.serialization._get_layout`."""
    if isinstance(node, Call) and node.arguments:
        return (text(plain(node.arguments[0])) or "").removeprefix("torch.")
    return node.name if isinstance(node, Global) else ""


def node_paths(
    root: Node, above: str = "", closed: Patterns | None = None, most: int = DEFAULT_LIMITS.paths
) -> Iterator[tuple[str, NodeChild]]:
    """Everything below a node, whose own path is `above`, with its path; nothing below a path that matches `closed`.

    Raises LimitError where there are more than `most` paths.
    """
    top = TOP.below(above or None)
    is_closed = (lambda path: closed.match(str(path))) if closed else None
    for path, child in walk(root, node_children, top, most, is_closed=is_closed):
        yield str(path), child


def find_node(root: Node, path: str) -> NodeChild:
    """The node at a path, "" for the root. Raises EditError, which lists what there is, where there is none."""
    return find(NodeChild(None, root), path, node_children)


def node_at(root: Node, path: str) -> NodeChild | None:
    """The node at a path, or None."""
    match = search(NodeChild(None, root), path, node_children)
    return match.child if match.rest is None else None


def nearest_path(root: Node, path: str) -> str:
    """A hint " (did you mean PATH?)" for a path that leads nowhere, "" where nothing is similar."""
    return nearest(NodeChild(None, root), path, node_children)
