"""How the value of each kind of node is made, and what the opcodes after it do to that: `MAKERS` and `FILLS`.

Rule: a value is made of parts that are there, and filled after it was made, so that it may contain itself.
"""

from collections import deque
from collections.abc import Callable

from ptzip.errors import FormatError, UnsupportedError
from ptzip.pickling.nodes import Atom, Call, Detour, Dict, Global, List, Node, Persistent, Set, Tuple, plain
from ptzip.tensors.references import class_ref, storage_ref
from ptzip.text import as_text
from ptzip.tree.calls import RECONSTRUCTORS
from ptzip.values.build_state import Building, called
from ptzip.values.constructors import STATES
from ptzip.values.opaque import Opaque

NEW_OBJECTS = frozenset({"copyreg.__newobj__", "copy_reg.__newobj__"})
GETATTR = frozenset({"builtins.getattr", "__builtin__.getattr"})
"""Functions that are about another class or name, their first argument."""


def atom_value(building: Building, node: Node) -> object:
    if node.op == "NEXT_BUFFER":
        raise UnsupportedError(f"the pickle takes a buffer that is not in the file (at byte {node.offset})")
    return node.value if isinstance(node, Atom) else None


def _tuple(building: Building, node: Node) -> object:
    made = tuple(building.value(part) for part in node.parts)
    building.deep(made)
    return made


def _list(building: Building, node: Node) -> object:
    return [building.value(part) for part in node.parts]


def _dict(building: Building, node: Node) -> object:
    made: dict[object, object] = {}
    _set_pairs(building, made, [building.value(part) for part in node.parts])
    return made


def _set(building: Building, node: Node) -> object:
    items = [building.value(part) for part in node.parts]
    building.check_keys(items)
    try:
        made = frozenset(items) if node.op == "FROZENSET" else set(items)
    except TypeError as error:
        raise FormatError(f"a set holds what cannot be in one: {error}", node.offset) from error
    return made


def _detour(building: Building, node: Node) -> object:
    return building.value(node.parts[-1])


def _global(building: Building, node: Node) -> object:
    return building.name(node.module, node.name) if isinstance(node, Global) else None


def _persistent(building: Building, node: Node) -> object:
    """A storage, a class with its source, a tensor of a tar, a call of torch.package; else something unknown."""
    reference = storage_ref(node)
    if reference is not None and isinstance(node, Persistent):
        return building.storages.storage(reference)
    ident = plain(node.id) if isinstance(node, Persistent) else node
    cls = class_ref(node)
    if cls is not None:
        return building.name(cls.module, cls.name)
    key = str(ident.value) if isinstance(ident, Atom) else ""
    if key in building.part.tensors:
        return building.storages.tensor(building.part.tensors[key])
    value = building.value(node.parts[0]) if node.parts else key
    if isinstance(value, tuple) and len(value) >= 3 and value[0] == "reduce_package" and isinstance(value[-2], Opaque):
        args = value[-1] if isinstance(value[-1], tuple) else (value[-1],)
        return building.unknown(node, Opaque(value[-2].module, value[-2].name, args), "a function of its package")
    return building.unknown(node, Opaque("", "persistent id", (value,)), "which is that of no storage")


def _call(building: Building, node: Node) -> object:
    if not isinstance(node, Call):
        return None
    args, kwargs = _arguments(building, node)
    module, name = _function(building, node)
    path = f"{module}.{name}"
    first = args[0] if args else None
    if path in GETATTR and len(args) == 2 and isinstance(first, Opaque) and first.is_name and isinstance(args[1], str):
        building.has_names = True
        return Opaque(first.path, args[1])
    if path in RECONSTRUCTORS and len(args) == 3 and isinstance(first, Opaque):
        return _reconstructed(building, node, first, args[2])
    if path in NEW_OBJECTS and isinstance(first, Opaque):
        return building.call(node, first.module, first.name, args[1:], kwargs)
    return building.call(node, module, name, args, kwargs)


def _reconstructed(building: Building, node: Node, cls: Opaque, state: object) -> object:
    """What protocol 0 and 1 make of an object: of a class that is a list or a dict too, with what it holds."""
    made = building.call(node, cls.module, cls.name, (), {})
    if isinstance(made, Opaque):
        made.items += state if isinstance(state, list) else []
        made.pairs += state.items() if isinstance(state, dict) else []
        made.args = (state,) if state is not None and not isinstance(state, list | dict) else ()
    return made


def _arguments(building: Building, node: Call) -> tuple[tuple[object, ...], dict[str, object]]:
    if node.op in ("INST", "OBJ"):
        return tuple(building.value(part) for part in node.arguments), {}
    given = building.value(node.parts[1])
    named = building.value(node.parts[2]) if node.op == "NEWOBJ_EX" else {}
    if not isinstance(given, tuple) or not isinstance(named, dict):
        raise FormatError("a call has arguments that are no tuple", node.offset)
    return given, {as_text(key): value for key, value in named.items()}


def _function(building: Building, node: Call) -> tuple[str, str]:
    """Module and name of what is called: a name, also one out of a persistent id, or an attribute of one."""
    function = node.function
    if isinstance(function, Global):
        return function.module, function.name
    value = building.value(function)
    if isinstance(value, Opaque):
        return (value.module, value.name) if value.is_name else ("", f"the value of {value.path}")
    return "", called(value)


MAKERS: dict[type[Node], Callable[[Building, Node], object]] = {
    Atom: atom_value,
    Tuple: _tuple,
    List: _list,
    Dict: _dict,
    Set: _set,
    Detour: _detour,
    Global: _global,
    Call: _call,
    Persistent: _persistent,
}
"""How the value of a node is made, by the kind of node."""


def _set_state(building: Building, value: object, items: list[object]) -> None:
    (state,) = items
    if isinstance(value, Opaque):
        merges = isinstance(value.state, dict) and isinstance(state, dict)
        value.state = {**value.state, **state} if merges else state  # type: ignore[dict-item]
    elif type(value) in STATES:
        STATES[type(value)](value, state)
    else:
        raise TypeError("it takes no state")


def _set_pairs(building: Building, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.pairs += zip(items[::2], items[1::2], strict=True)
    elif isinstance(value, dict):
        building.check_keys(items[::2])
        for key, item in zip(items[::2], items[1::2], strict=True):
            value[key] = item
    else:
        raise TypeError("it has no keys")


def _append(building: Building, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, list | deque):
        value.extend(items)
    else:
        raise TypeError("nothing can be appended to it")


def _add(building: Building, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, set):
        building.check_keys(items)
        value.update(items)
    else:
        raise TypeError("nothing can be added to it")


FILLS: dict[str, Callable[[Building, object, list[object]], None]] = {
    "BUILD": _set_state,
    "SETITEM": _set_pairs,
    "SETITEMS": _set_pairs,
    "APPEND": _append,
    "APPENDS": _append,
    "ADDITEMS": _add,
}
"""What an opcode does to a value that is there."""
