"""What a node of a pickle names and really calls, decided once for `load`, `scan` and `inspect`.

A pickle can hide what it calls behind a helper: `copyreg._reconstructor(cls, base, state)` (protocols 0 and 1),
`copyreg.__newobj__(cls, *args)`, `copyreg.__newobj_ex__(cls, args, kwargs)`, a chain of `getattr(owner, name)` (nested classes
below protocol 4), a class inside a persistent id (`torch.save` up to 1.x stores the source of a module with it) or the
`reduce_package` id of `torch.package`. `resolve` looks through all of them and runs nothing.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ptzip.pickling.nodes import Call, Dict, Global, Node, Persistent, Tuple, pairs, plain, text
from ptzip.tensors.references import class_ref

COPYREG = ("copyreg", "copy_reg")
RECONSTRUCTORS = frozenset(f"{module}._reconstructor" for module in COPYREG)
NEW_OBJECTS = frozenset(f"{module}.__newobj__" for module in COPYREG)
NEW_OBJECTS_EX = frozenset(f"{module}.__newobj_ex__" for module in COPYREG)
GETATTR = frozenset({"builtins.getattr", "__builtin__.getattr"})
HELPERS = RECONSTRUCTORS | NEW_OBJECTS | NEW_OBJECTS_EX
"""Functions whose first argument is the class that they instantiate."""

PARTIALS = frozenset({"functools.partial", "_functools.partial"})
MOST_PARTIAL_STEPS = 3

MOST_ATTRIBUTES = 8
"""The longest chain of `getattr` that is followed: classes nested in one another."""

MOST_ARGUMENTS = 256
"""The most arguments of a call by a helper; beyond, they count as computed."""

CallKind = Literal["call", "new", "reconstruct", "getattr", "package"]


class QualifiedName(NamedTuple):
    """A name a pickle imports. `name` is dotted for an attribute; `node` is the Global that the name starts from."""

    node: Global
    module: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


class ResolvedCall(NamedTuple):
    """A call with its helpers removed.

    `kind` is "call" for a function or class called directly, "new" for an instance made by NEWOBJ or `__newobj__`,
    "reconstruct" for `_reconstructor`, "getattr" for an attribute lookup itself, "package" for a `reduce_package` id.
    `target` is what is called and `arguments` are what it gets; `helper` is the path of the copyreg function in between, or "".
    `base` and `contents` are the second and third argument of `_reconstructor`. `keywords` is the dict of keyword arguments,
    None where there are none. `has_computed_arguments`: the arguments are not a plain tuple in the file, so
    `arguments` is incomplete.
    """

    node: Call | Persistent
    kind: CallKind
    target: QualifiedName
    arguments: Sequence[Node]
    keywords: Node | None = None
    helper: str = ""
    base: Node | None = None
    contents: Node | None = None
    has_computed_arguments: bool = False

    @property
    def path(self) -> str:
        return self.target.path


def qualified_name(node: Node) -> QualifiedName | None:
    """The name that a node refers to: a global, the class in a persistent id, or `getattr` of one of these.

    None for anything computed at load time and for chains of more than `MOST_ATTRIBUTES` lookups.
    """
    node = plain(node)
    if isinstance(node, Global):
        return QualifiedName(node, node.module, node.name)
    attributes: list[str] = []
    while isinstance(node, Call) and len(attributes) < MOST_ATTRIBUTES:
        arguments = node.arguments
        name = text(plain(arguments[1])) if node.path in GETATTR and len(arguments) == 2 else None
        if not name:
            return None
        attributes.append(name)
        node = plain(arguments[0])
    owner = class_ref(node) if isinstance(node, Persistent) else node
    if not isinstance(owner, Global):
        return None
    return QualifiedName(owner, owner.module, ".".join((owner.name, *reversed(attributes))) if attributes else owner.name)


def resolve(node: Node) -> ResolvedCall | None:
    """What a call calls; None where the function is computed at load time, and for a node that is no call."""
    if isinstance(node, Persistent):
        return _package_call(node)
    function = qualified_name(node.function) if isinstance(node, Call) else None
    if not isinstance(node, Call):
        return None
    if function is None:
        return _partial_call(node)
    arguments, is_computed = _positional(node)
    path = function.path
    if path in HELPERS and arguments:
        return _helped(node, path, arguments, is_computed)
    keywords = node.parts[2] if node.op == "NEWOBJ_EX" and not _is_empty(node.parts[2]) else None
    kind: CallKind = "new" if node.op in ("NEWOBJ", "NEWOBJ_EX") else "getattr" if path in GETATTR else "call"
    return ResolvedCall(node, kind, function, arguments, keywords, "", None, None, is_computed)


def class_path(node: Node) -> str:
    """Module and name of the class of an object, or of the function that returns it; "" where that is computed."""
    if not isinstance(node, Call):
        return ""
    function = node.function
    if isinstance(function, Global) and function.path not in HELPERS:
        return function.path
    call = resolve(node)
    return call.path if call else ""


def _helped(node: Call, helper: str, arguments: Sequence[Node], is_computed: bool) -> ResolvedCall | None:
    """A call of one of the functions of copyreg: about the class that is its first argument."""
    target = qualified_name(arguments[0])
    if target is None:
        return None
    is_computed = is_computed or len(arguments) > MOST_ARGUMENTS
    given = list(arguments[1:MOST_ARGUMENTS])  # copying more for each call that shares them would take forever
    if helper in NEW_OBJECTS:
        return ResolvedCall(node, "new", target, given, None, helper, has_computed_arguments=is_computed)
    first, second = (*map(plain, given), None, None)[:2]
    if helper in RECONSTRUCTORS:
        return ResolvedCall(node, "reconstruct", target, (), None, helper, first, second, is_computed or len(given) != 2)
    keywords = second if second is not None and not _is_empty(second) else None
    is_odd = not isinstance(first, Tuple) or len(given) != 2
    return ResolvedCall(
        node, "new", target, first.parts if first else (), keywords, helper, has_computed_arguments=is_computed or is_odd
    )


def _partial_call(node: Call) -> ResolvedCall | None:
    """A call of `functools.partial(function)`, whose state has the arguments: how pandas 1.3 pickles its blocks."""
    made = node.function
    if not isinstance(made, Call) or made.path not in PARTIALS or len(made.steps) > MOST_PARTIAL_STEPS:
        return None
    states = [plain(step.items[0]) for step in made.steps if step.op == "BUILD"]
    if len(states) != 1 or len(made.arguments) != 1 or not isinstance(states[0], Tuple) or len(states[0].parts) != 4:
        return None
    first, target = qualified_name(made.arguments[0]), qualified_name(states[0].parts[0])
    given, keywords = map(plain, states[0].parts[1:3])
    arguments, is_computed = _positional(node)
    if first is None or target is None or first.path != target.path or not isinstance(given, Tuple):
        return None
    named = None if _is_empty(keywords) else keywords
    return ResolvedCall(node, "call", target, [*given.parts, *arguments], named, has_computed_arguments=is_computed)


def _package_call(node: Persistent) -> ResolvedCall | None:
    """`("reduce_package", [id,] function, arguments)`: `torch/package/package_importer.py`, `persistent_load`."""
    parts = node.id.parts if isinstance(node.id, Tuple) else []
    if len(parts) not in (3, 4) or text(plain(parts[0])) != "reduce_package":
        return None
    target, given = qualified_name(parts[-2]), plain(parts[-1])
    arguments = given.parts if isinstance(given, Tuple) else [given]
    return ResolvedCall(node, "package", target, arguments) if target else None


def _positional(call: Call) -> tuple[Sequence[Node], bool]:
    """The positional arguments of an opcode, and whether they are computed at load time."""
    if call.op in ("INST", "OBJ"):
        return call.arguments, False
    given = plain(call.parts[1])
    return (given.parts, False) if isinstance(given, Tuple) else ((), True)


def _is_empty(node: Node) -> bool:
    found = plain(node)
    return isinstance(found, Dict) and not any(True for _ in pairs(found))
