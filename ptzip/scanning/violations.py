"""What a pickle imports, calls and changes that the allow list does not allow.

Only what the pickle machine found on its stack counts, never what is nearby in the stream. A call whose function is not
a name in the file is never allowed, whatever it may come to.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from ptzip.allowlist.judge import Judge
from ptzip.allowlist.signatures import MemoryFault
from ptzip.allowlist.table import NOTHING, AllowedName, Name, Trust, allowed_row
from ptzip.pickling.nodes import (
    PUTS,
    Call,
    Global,
    Node,
    Pickle,
    Tuple,
    children,
    plain,
    text,
    walk_unordered,
)
from ptzip.scanning import dangerous_names
from ptzip.tree.calls import (
    GETATTR,
    HELPERS,
    MOST_ATTRIBUTES,
    QualifiedName,
    ResolvedCall,
    class_path,
    qualified_name,
    resolve,
)


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
        key = (id(node.parts[0]), id(node.parts[1])) if node.op in ("REDUCE", "NEWOBJ") else None
        if (key not in seen or not _is_bare(node)) and not _is_usual(node, rows, judge):
            yield node
            if key is not None and _is_bare(node):
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
