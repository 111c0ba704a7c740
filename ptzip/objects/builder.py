"""Nodes to Python values: what a loader would build, of what is known to be harmless.

Rule 1: one node is one object, however often it is fetched. Rule 2: a value is made after its parts and filled after it was
made, in the order of the stream, so that a value may contain itself. Rule 3: nothing out of the file is imported or called;
`constructors` is all that can happen. Rule 4: tensors and arrays stay lazy; see `settled`.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.formats import legacy
from ptzip.formats.part import Part
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.objects.constructors import CONSTRUCTORS, NAMES, STATES, Nested
from ptzip.objects.opaque import Opaque
from ptzip.objects.reach import refuse_names
from ptzip.objects.rebuilds import KNOWN_CLASSES
from ptzip.objects.stored import Storages
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Detour,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Set,
    Step,
    Tuple,
    plain,
    text,
)
from ptzip.source import BytesSource
from ptzip.tensors.rebuild import storage_id
from ptzip.tensors.tensor import Tensor

UNKNOWN = ("error", "keep")

MOST_STREAMS_DEEP = 4
"""How many streams may lie inside one another as bytes."""

DEEPEST_KEY = 100
"""How many tuples a dict key may be deep: Python takes the hash of one by calling itself."""

RECONSTRUCTORS = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
NEW_OBJECTS = frozenset({"copyreg.__newobj__", "copy_reg.__newobj__"})
GETATTR = frozenset({"builtins.getattr", "__builtin__.getattr"})
"""Functions that are about another class or name, their first argument."""

MISTAKES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, struct.error)
"""What constructors and containers raise where a value does not fit."""

Pending = Node | tuple[Node, Step | None]
"""What is still to be done: a node, a node whose parts are there, a step of it whose items are there."""


def build(part: Part, *, unknown: str = "error", limits: Limits = DEFAULT_LIMITS) -> object:
    """The value of a pickle; tensors and arrays are lazy.

    What is not known to be harmless is an UnsupportedError that names it, or with unknown="keep" an `Opaque`. Raises
    FormatError where the pickle is broken or does what no pickler does.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown is {unknown!r}, expected one of {', '.join(UNKNOWN)}")
    return Machine(part, unknown == "keep", limits).run()


class Machine:
    """The values of one pickle, by the identity of their nodes."""

    def __init__(self, part: Part, keep: bool, limits: Limits, depth: int = 0) -> None:
        self.part = part
        self.keep = keep
        self.limits = limits
        self.depth = depth
        self.values: dict[int, object] = {}
        self.storages = Storages(part)
        self.nesting: dict[int, int] = {}
        """How deep tuples lie inside one another, by the identity of the outer one; a frozenset keeps its hash."""
        self.has_names = False

    def run(self) -> object:
        root = self.part.root
        self.make_all(root)
        value = self.value(root)
        if self.has_names and not self.keep:
            refuse_names(value)
        return value

    def make_all(self, root: Node) -> None:
        """Make the values of a node and of all below it."""
        pending: list[Pending] = [root]
        seen: set[int] = set()
        while pending:
            item = pending.pop()
            if isinstance(item, Node):
                if id(item) not in seen:
                    seen.add(id(item))
                    pending.append((item, None))
                    self.want(item.parts, pending)
                continue
            node, step = item
            if step is not None:
                self.apply(node, step)
                continue
            self.values[id(node)] = MAKERS[type(node)](self, node)
            for done in reversed(node.steps):
                if done.op not in PUTS:
                    pending.append((node, done))
                    self.want(done.items, pending)

    def want(self, nodes: list[Node], pending: list[Pending]) -> None:
        """Have some nodes made next, the first of them first; most are atoms, which need nobody else."""
        for node in reversed(nodes):
            if type(node) is not Atom or any(step.op not in PUTS for step in node.steps):
                pending.append(node)
            elif id(node) not in self.values:
                self.values[id(node)] = _atom(self, node)

    def value(self, node: Node) -> object:
        """The value of a node, which was made before: else the pickle is none that a pickler writes."""
        try:
            return self.values[id(node)]
        except KeyError:
            raise FormatError("a value contains itself before it is there", node.offset) from None

    def apply(self, node: Node, step: Step) -> None:
        """Do to a value what one opcode does: append, set, build."""
        value, items = self.value(node), [self.value(item) for item in step.items]
        fill = FILLS.get(step.op)
        if fill is None:
            return
        try:
            fill(self, value, items)
        except MISTAKES as error:
            raise FormatError(f"{step.op} does not fit {_called(value)}: {error}", node.offset) from error

    def check_keys(self, keys: Iterable[object]) -> None:
        for key in keys:
            if self.nesting.get(id(key), 0) > DEEPEST_KEY:
                raise LimitError(f"a key is made of more than {DEEPEST_KEY} tuples inside one another")

    def deep(self, value: tuple[object, ...]) -> None:
        """Note how deep a tuple is that holds others, since it may become a key."""
        inner = [self.nesting.get(id(item), 1) for item in value if type(item) is tuple]
        if inner:
            self.nesting[id(value)] = 1 + max(inner)

    def name(self, module: str, name: str) -> object:
        """What a name stands for: itself where it is known, else something inert."""
        path = f"{module}.{name}"
        if path in NAMES and "." not in name:
            return NAMES[path]
        self.has_names = True
        return Opaque(module, name)

    def call(self, node: Node, module: str, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """The value of a call. Raises UnsupportedError where it is not known and not to be kept."""
        path = f"{module}.{name}"
        make = CONSTRUCTORS.get(path) if "." not in name and not kwargs else None
        if make is None:
            return self.unknown(node, Opaque(module, name, args, kwargs=kwargs), "which is not known to be harmless")
        try:
            self.check_keys(key for arg in args if isinstance(arg, list | tuple) for key in _keys(arg))
            found = make(*args)
        except (*MISTAKES, UnsupportedError) as error:
            return self.unknown(node, Opaque(module, name, args), f"in a way that cannot be rebuilt: {error}")
        if isinstance(found, Tensor) and found.class_path not in KNOWN_CLASSES and not self.keep:
            return self.unknown(node, Opaque("", found.class_path, args), "a class of tensors that is not known")
        return self.nested(found) if isinstance(found, Nested) else found

    def unknown(self, node: Node, kept: Opaque, why: str) -> Opaque:
        if not self.keep:
            raise UnsupportedError(f"the pickle calls {kept.path}, {why} (at byte {node.offset})")
        return kept

    def nested(self, data: Nested) -> object:
        """The object of a legacy stream that is a value of this one."""
        if self.depth >= MOST_STREAMS_DEEP:
            raise LimitError(f"more than {MOST_STREAMS_DEEP} streams lie inside one another")
        source = BytesSource(bytes(data), f"a stream inside {self.part.name}")
        if not legacy.sniff(source):
            raise UnsupportedError(f"{source.name} is not of the legacy format")
        return Machine(legacy.read(source, self.limits).parts[0], self.keep, self.limits, self.depth + 1).run()


def _called(value: object) -> str:
    return f"an object of {value.path}" if isinstance(value, Opaque) else f"an object of {type(value).__name__}"


def _keys(argument: list[object] | tuple[object, ...]) -> Iterable[object]:
    """What a constructor may take for keys: the items, and the first of pairs."""
    for item in argument:
        if isinstance(item, tuple | list):
            yield item
            yield from item[:1]


def _atom(machine: Machine, node: Node) -> object:
    if node.op == "NEXT_BUFFER":
        raise UnsupportedError(f"the pickle takes a buffer that is not in the file (at byte {node.offset})")
    return node.value if isinstance(node, Atom) else None


def _tuple(machine: Machine, node: Node) -> object:
    made = tuple(machine.value(part) for part in node.parts)
    machine.deep(made)
    return made


def _list(machine: Machine, node: Node) -> object:
    return [machine.value(part) for part in node.parts]


def _dict(machine: Machine, node: Node) -> object:
    made: dict[object, object] = {}
    _set_pairs(machine, made, [machine.value(part) for part in node.parts])
    return made


def _set(machine: Machine, node: Node) -> object:
    items = [machine.value(part) for part in node.parts]
    machine.check_keys(items)
    try:
        made = frozenset(items) if node.op == "FROZENSET" else set(items)
    except TypeError as error:
        raise FormatError(f"a set holds what cannot be in one: {error}", node.offset) from error
    return made


def _detour(machine: Machine, node: Node) -> object:
    return machine.value(node.parts[-1])


def _global(machine: Machine, node: Node) -> object:
    return machine.name(node.module, node.name) if isinstance(node, Global) else None


def _persistent(machine: Machine, node: Node) -> object:
    """A storage, a class with its source, a tensor of a tar, a call of torch.package; else something unknown."""
    reference = storage_id(node)
    if reference is not None and isinstance(node, Persistent):
        return machine.storages.storage(reference)
    ident = plain(node.id) if isinstance(node, Persistent) else node
    cls = persistent_class(ident)
    if cls is not None:
        return machine.name(cls.module, cls.name)
    key = str(ident.value) if isinstance(ident, Atom) else ""
    if key in machine.part.tensors:
        return machine.storages.tensor(machine.part.tensors[key])
    value = machine.value(node.parts[0]) if node.parts else key
    if isinstance(value, tuple) and len(value) >= 3 and value[0] == "reduce_package" and isinstance(value[-2], Opaque):
        args = value[-1] if isinstance(value[-1], tuple) else (value[-1],)
        return machine.unknown(node, Opaque(value[-2].module, value[-2].name, args), "a function of its package")
    return machine.unknown(node, Opaque("", "persistent id", (value,)), "which is that of no storage")


def persistent_class(ident: Node) -> Global | None:
    """The class that ("module", class, file, source) or in a tar (class, file, source) stands for."""
    items = [plain(part) for part in ident.parts] if isinstance(ident, Tuple) else []
    if items and text(items[0]) == "module":
        items = items[1:]
    return items[0] if len(items) == 3 and isinstance(items[0], Global) else None


def _call(machine: Machine, node: Node) -> object:
    if not isinstance(node, Call):
        return None
    args, kwargs = _arguments(machine, node)
    module, name = _function(machine, node)
    path = f"{module}.{name}"
    first = args[0] if args else None
    if path in GETATTR and len(args) == 2 and isinstance(first, Opaque) and first.is_name and isinstance(args[1], str):
        machine.has_names = True
        return Opaque(first.path, args[1])
    if path in RECONSTRUCTORS and len(args) == 3 and isinstance(first, Opaque):
        return _reconstructed(machine, node, first, args[2])
    if path in NEW_OBJECTS and isinstance(first, Opaque):
        return machine.call(node, first.module, first.name, args[1:], kwargs)
    return machine.call(node, module, name, args, kwargs)


def _reconstructed(machine: Machine, node: Node, cls: Opaque, state: object) -> object:
    """What protocol 0 and 1 make of an object: of a class that is a list or a dict too, with what it holds."""
    made = machine.call(node, cls.module, cls.name, (), {})
    if isinstance(made, Opaque):
        made.items += state if isinstance(state, list) else []
        made.pairs += state.items() if isinstance(state, dict) else []
        made.args = (state,) if state is not None and not isinstance(state, list | dict) else ()
    return made


def _arguments(machine: Machine, node: Call) -> tuple[tuple[object, ...], dict[str, object]]:
    if node.op in ("INST", "OBJ"):
        return tuple(machine.value(part) for part in node.arguments), {}
    given = machine.value(node.parts[1])
    named = machine.value(node.parts[2]) if node.op == "NEWOBJ_EX" else {}
    if not isinstance(given, tuple) or not isinstance(named, dict):
        raise FormatError("a call has arguments that are no tuple", node.offset)
    return given, {str(key): value for key, value in named.items()}


def _function(machine: Machine, node: Call) -> tuple[str, str]:
    """Module and name of what is called: a name, also one out of a persistent id, or an attribute of one."""
    function = node.function
    if isinstance(function, Global):
        return function.module, function.name
    value = machine.value(function)
    if isinstance(value, Opaque):
        return (value.module, value.name) if value.is_name else ("", f"the value of {value.path}")
    return "", _called(value)


MAKERS: dict[type[Node], Callable[[Machine, Node], object]] = {
    Atom: _atom,
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


def _set_state(machine: Machine, value: object, items: list[object]) -> None:
    (state,) = items
    if isinstance(value, Opaque):
        merges = isinstance(value.state, dict) and isinstance(state, dict)
        value.state = {**value.state, **state} if merges else state  # type: ignore[dict-item]
    elif type(value) in STATES:
        STATES[type(value)](value, state)
    else:
        raise TypeError("it takes no state")


def _set_pairs(machine: Machine, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.pairs += zip(items[::2], items[1::2], strict=True)
    elif isinstance(value, dict):
        machine.check_keys(items[::2])
        for key, item in zip(items[::2], items[1::2], strict=True):
            value[key] = item
    else:
        raise TypeError("it has no keys")


def _append(machine: Machine, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, list | deque):
        value.extend(items)
    else:
        raise TypeError("nothing can be appended to it")


def _add(machine: Machine, value: object, items: list[object]) -> None:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, set):
        machine.check_keys(items)
        value.update(items)
    else:
        raise TypeError("nothing can be added to it")


FILLS: dict[str, Callable[[Machine, object, list[object]], None]] = {
    "BUILD": _set_state,
    "SETITEM": _set_pairs,
    "SETITEMS": _set_pairs,
    "APPEND": _append,
    "APPENDS": _append,
    "ADDITEMS": _add,
}
"""What an opcode does to a value that is there."""
