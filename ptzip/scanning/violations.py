"""What a pickle imports, calls and changes that the allow list does not allow.

Only what the pickle machine found on its stack counts, never what is nearby in the stream. A call whose function is not
a name in the file is never allowed, whatever it may come to.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from ptzip.allowlist.argument_checks import MemoryFault, word
from ptzip.allowlist.judge import Judge
from ptzip.allowlist.table import NOTHING, AllowedName, Name, Trust, allowed_row
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Global,
    List,
    Node,
    Pickle,
    Tuple,
    children,
    item_slots,
    pairs,
    plain,
    text,
    walk_unordered,
)
from ptzip.scanning import dangerous_names
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import SUBCLASSES
from ptzip.tree.calls import (
    GETATTR,
    HELPERS,
    MOST_ATTRIBUTES,
    PARTIALS,
    QualifiedName,
    ResolvedCall,
    class_path,
    qualified_name,
    resolve,
)

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


class Danger(IntEnum):
    """What is known of something that is not allowed."""

    UNKNOWN = 0
    MISUSED = 1
    """An allowed name, called as no pickler calls it."""
    HARMFUL = 2


class Violation(NamedTuple):
    """One import (`node` is a Global) or call that is not allowed: `what` is its name, `why` a reason, if there is one. A user
    who trusts the code of that name may allow `name`.
    """

    node: Node
    danger: Danger
    what: str
    why: str = ""
    name: Name | None = None


def violations(pickle: Pickle, trusted: Trust = NOTHING) -> Iterator[Violation]:
    """Everything that is not allowed, in the order in which a loader gets to it; last what is passed on as a value."""
    rows, judge = _allowed_names(pickle, trusted), Judge(pickle)
    doubtful = list(_doubtful(pickle, rows, judge))
    calls = {id(node): resolved(node) for node in doubtful if isinstance(node, Call)}
    called = {call.target.node.offset for call in calls.values() if call is not None}
    for node in doubtful:
        found = None
        if isinstance(node, Call):
            found = _judged_call(node, calls[id(node)], trusted, judge)
        elif isinstance(node, Global) and node.offset not in called and not allowed(node.module, node.name, trusted):
            why = dangerous_names.of_name(node.module, node.name)
            found = Violation(node, Danger.HARMFUL if why else Danger.UNKNOWN, node.path, why, (node.module, node.name))
        if found is not None:
            yield found
    yield from _passed_on(pickle)


def allowed(module: str, name: str, trusted: Trust) -> AllowedName | None:
    """What may be done with a name. Trust adds names to the allow list, and never loosens one that is on it."""
    return allowed_row(module, name) or trusted.get((module, name))


def _allowed_names(pickle: Pickle, trusted: Trust) -> dict[int, AllowedName]:
    """The globals that are allowed, by identity; without functions whose call is about the class that they are given."""
    rows = dict[int, AllowedName]()
    for node in pickle.calls:
        row = allowed(node.module, node.name, trusted) if isinstance(node, Global) else None
        if row is not None and isinstance(node, Global) and node.path not in HELPERS:
            rows[id(node)] = row
    return rows


def _doubtful(pickle: Pickle, rows: Mapping[int, AllowedName], judge: Judge) -> Iterator[Node]:
    """The nodes that are neither allowed names nor usual calls; the same call of the same arguments once."""
    seen = set[tuple[int, int]]()
    for node in pickle.calls:
        if id(node) in rows:
            continue
        key = (id(node.parts[0]), id(node.parts[1])) if node.op in ("REDUCE", "NEWOBJ") and _is_bare(node) else None
        if key not in seen and not _is_usual(node, rows, judge):
            yield node
            if key is not None:
                seen.add(key)


def _is_bare(node: Node) -> bool:
    """Whether nothing is done to an object but to put it into the memo."""
    return not node.steps or all(step.op in PUTS for step in node.steps)


def _is_usual(node: Node, rows: Mapping[int, AllowedName], judge: Judge) -> bool:
    """Whether a node is a plain call of an allowed name with the arguments that it may have, as nearly all calls are."""
    row = rows.get(id(node.parts[0])) if node.op in ("REDUCE", "NEWOBJ") else None
    if row is None or type(node.parts[1]) is not Tuple or (row.is_instance and node.op == "REDUCE"):
        return False
    return not judge.misused(node.parts[1].parts, node.parts[1], node, row)


def resolved(call: Call) -> ResolvedCall | None:
    """What a call really calls; None where that is computed during loading.

    dill and cloudpickle look a type up by a call of their own and call the result: that is a call of their function.
    """
    found = resolve(call)
    if found is not None:
        return found
    node, attributes = call.function, list[str]()
    if isinstance(node, Global) and node.path in HELPERS and call.arguments:
        node = plain(call.arguments[0])
    while isinstance(node, Call) and node.path in GETATTR and len(node.arguments) == 2 and len(attributes) < MOST_ATTRIBUTES:
        attributes.insert(0, text(plain(node.arguments[1])) or "")
        node = plain(node.arguments[0])
    if not isinstance(node, Call) or node.path.partition(".")[0] not in dangerous_names.CODE_PICKLERS or not all(attributes):
        return None
    function = node.function
    if not isinstance(function, Global):
        return None
    target = QualifiedName(function, function.module, ".".join((function.name, *attributes)))
    return ResolvedCall(call, "call", target, call.arguments)


def _judged_call(node: Call, call: ResolvedCall | None, trusted: Trust, judge: Judge) -> Violation | None:
    """A call that is not a usual one: None where it is allowed all the same."""
    if call is None:  # read without joblib, the bytes of its arrays are nonsense
        danger = Danger.MISUSED if judge.has_arrays else Danger.HARMFUL
        return Violation(node, danger, "something", "that is computed during loading")
    if call.path in GETATTR:
        return _judged_attribute(node, trusted)
    name = (call.target.module, call.target.name)
    row = allowed(*name, trusted)
    if row is None or row.check is None:
        why = dangerous_names.of_call(*name, node)
        return Violation(node, Danger.HARMFUL if why else Danger.UNKNOWN, call.path, why, name)
    wrong = judge.misuse(call, row)
    if wrong and name in trusted and (why := dangerous_names.of_call(*name, node)):
        return Violation(node, Danger.HARMFUL, call.path, why, name)
    danger = Danger.HARMFUL if isinstance(wrong, MemoryFault) else Danger.MISUSED
    return Violation(node, danger, call.path, wrong, name if name in trusted else None) if wrong else None


def _judged_attribute(call: Call, trusted: Trust) -> Violation | None:
    """`getattr(owner, name)`, by which protocols below 4 spell methods and nested classes."""
    arguments = call.arguments
    owner = plain(arguments[0]) if arguments else None
    name = text(plain(arguments[1])) if len(arguments) == 2 else None
    found = qualified_name(call)
    what = found.path if found else f"attribute {name}"
    if name is None or (name.startswith("__") and name != "__new__"):
        return Violation(call, Danger.HARMFUL, what, "the attribute gives access to anything, whatever names are forbidden")
    if isinstance(owner, Global) and dangerous_names.is_own(owner.module):
        is_class = owner.name.rpartition(".")[2].lstrip("_")[:1].isupper()
        if not is_class and allowed_row(owner.module, owner.name) is None:
            return Violation(call, Danger.HARMFUL, what, f"it is an attribute of {owner.path}, which is not a class")
    why = dangerous_names.of_name(owner.module, owner.name) if isinstance(owner, Global) else ""
    full_name = (found.module, found.name) if found else None
    if full_name in trusted or (full_name and allowed_row(*full_name)) or _is_lazy_hook(owner, name):
        return None
    return Violation(call, Danger.HARMFUL if why else Danger.UNKNOWN, what, why, full_name)


def _is_lazy_hook(owner: Node | None, name: str) -> bool:
    """A hook of a lazy module, which is one of its own methods (`torch/nn/modules/lazy.py`)."""
    module, _, cls = class_path(owner).rpartition(".") if owner is not None else ("", "", "")
    is_lazy = module.startswith("torch.nn.modules.") and cls.startswith("Lazy") and allowed_row(module, cls) is not None
    return is_lazy and name in ("_infer_parameters", "_lazy_load_hook")


def _passed_on(pickle: Pickle) -> Iterator[Violation]:
    """Functions that are no value among the values of the object or the arguments of calls: another function may call them."""
    names = [node for node in pickle.calls if isinstance(node, Global)]
    passed = {id(node): node for node in names if (row := allowed_row(node.module, node.name)) and not row.is_value}
    seen = set[int]()
    for root in [*([pickle.root] if pickle.root is not None else []), *pickle.calls] if passed else ():
        for node in walk_unordered(root, seen):
            is_function_first = isinstance(node, Call) and node.op != "INST"
            values = children(node)[1:] if is_function_first else children(node)
            for value in [node, *values] if node is pickle.root else values:
                found = passed.pop(id(plain(value)), None)
                if found is not None:
                    yield Violation(
                        found, Danger.HARMFUL, found.path, "it is passed as a value, so that another function can call it"
                    )


def thrown_away(pickle: Pickle) -> set[int]:
    """The calls whose results are no part of the object, by identity: only their side effects matter."""
    if pickle.root is None or not any(anomaly.kind in ("popped", "left over") for anomaly in pickle.anomalies):
        return set()
    kept = {id(node) for node in walk_unordered(pickle.root)}
    return {id(node) for node in pickle.calls if id(node) not in kept and isinstance(node, Call)}


def _is_built(node: Node) -> bool:
    return any(step.op == "BUILD" for step in node.steps)


def built_names(pickle: Pickle) -> Iterator[Global]:
    """Names that BUILD gives a state: classes, functions and modules themselves, also those in a persistent id."""
    for ident in pickle.persistents:
        described = class_ref(ident) if _is_built(ident) else None
        if described is not None:
            yield described
    for node in pickle.calls:
        if isinstance(node, Global) and _is_built(node):
            yield node


def special_methods(pickle: Pickle) -> Iterator[tuple[Call, str]]:
    """Objects that get a special method by one of their states, and its name; a state that several share is reported once."""
    seen = set[int]()
    for node in pickle.calls:
        if isinstance(node, Call) and (node.steps or node.path in SET_STATES):
            for part, is_slots in _states(node):
                if id(part) not in seen:
                    seen.add(id(part))
                    for inner in (part, *(value for key, value in pairs(part) if text(key) in ATTRIBUTE_DICTS)):
                        yield from ((node, name) for name in _special_names(inner, is_slots and inner is part))


def _states(call: Call) -> Iterator[tuple[Node, bool]]:
    """What each BUILD gives to an object, and whether it is the dict of its slots: a dict, or a tuple of it and that."""
    given = [plain(step.items[0]) for step in call.steps if step.op == "BUILD"]
    if call.path in SET_STATES:
        given += map(plain, call.arguments[SET_STATE : SET_STATE + 1])
    for state in given:
        parts = state.parts[:2] if isinstance(state, Tuple) else []
        yield state, False
        yield from ((plain(part), index > 0) for index, part in enumerate(parts))


def _special_names(state: Node, is_slots: bool) -> Iterator[str]:
    """The special names that a state sets; in one that is computed, any among the texts of its calls."""
    for key, value in _entries(state):
        name = text(plain(key.arguments[0])) if isinstance(key, Call) and key.arguments else text(key)
        is_set = not isinstance(value, Atom) or is_slots
        is_special = name in SPECIAL_METHODS and (is_set or isinstance(key, Call))
        if is_special or (is_slots and (name or "").startswith("__")) or (name in METHODS and _is_class(value)):
            yield name or ""
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
