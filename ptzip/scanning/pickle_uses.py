"""What one pickle would have a loader import, call and describe, each judged by the allow list.

Rule: what counts is what the pickle machine found on its stack, never what stands near by in the stream; a call whose
function is not a name that stands in the file is not allowed, whatever it may come to.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from ptzip.allowlist import argument_checks as shapes
from ptzip.allowlist.table import ALLOWED, Name, Use
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    Node,
    Persistent,
    Pickle,
    Tuple,
    children,
    pairs,
    plain,
    text,
    walk_unordered,
)
from ptzip.scanning import dangerous_names as harm
from ptzip.scanning.joblib_arrays import has_arrays
from ptzip.tensors.references import class_ref
from ptzip.tree.calls import RECONSTRUCTORS

GETATTR = frozenset({"builtins.getattr", "__builtin__.getattr"})
NEW_OBJECTS = frozenset({"copyreg.__newobj__", "copy_reg.__newobj__", "copyreg.__newobj_ex__"})
BASES = frozenset(
    f"{home}.{name}" for home in ("builtins", "__builtin__") for name in ("object", "dict", "list", "tuple", "set")
)
SPECIAL_METHODS = frozenset(
    f"__{name}__"
    for name in (
        *("setstate", "reduce", "reduce_ex", "class", "getattr", "getattribute", "call", "del", "init", "new", "iter", "next"),
        *("getstate", "enter", "exit", "hash", "eq", "repr", "str", "format", "len", "builtins", "globals", "code"),
    )
)
"""What Python itself looks up and calls."""


class Known(IntEnum):
    """What is known of something that is not allowed."""

    UNKNOWN = 0
    MISUSED = 1
    HARMFUL = 2


class Found(NamedTuple):
    """One thing that is not allowed: a Global that is imported, or a Call that is made."""

    node: Node
    known: Known
    what: str
    why: str = ""


class Uses:
    """Everything of one pickle that is not allowed."""

    def __init__(self, pickle: Pickle, trusted: Collection[Name]) -> None:
        self.pickle = pickle
        self.trusted = trusted

    def found(self) -> Iterator[Found]:
        """The uses in the order in which a loader would come to them."""
        doubtful = self._doubtful()
        callees = {about.node.offset for node in doubtful if isinstance(node, Call) and (about := subject(node))}
        for node in doubtful:
            if isinstance(node, Call):
                yield from self._of_call(node)
            elif isinstance(node, Global) and node.offset not in callees:
                yield from self._of_name(node)
        yield from self._parked()

    def _doubtful(self) -> list[Node]:
        """The names and calls to look at: without those of allowed names that are called as they should be, as most are."""
        known = dict[int, Use]()
        for node in self.pickle.calls:
            use = self._use(node.module, node.name) if isinstance(node, Global) else None
            if use is not None and isinstance(node, Global) and node.path not in ABOUT_ANOTHER:
                known[id(node)] = use
        return [node for node in self.pickle.calls if id(node) not in known and not _is_as_it_should_be(node, known)]

    def _parked(self) -> Iterator[Found]:
        """Functions that load or call what they are given, where they stand as values: somebody else may call them."""
        loaders = {id(node): node for node in self.pickle.calls if isinstance(node, Global) and node.path in NEVER_PARKED}
        if not loaders:
            return
        seen = set[int]()
        for root in [*([self.pickle.root] if self.pickle.root is not None else []), *self.pickle.calls]:
            for node in walk_unordered(root, seen):
                below = children(node)[1:] if isinstance(node, Call) and node.op != "INST" else children(node)
                for part in below:
                    found = loaders.pop(id(plain(part)), None)
                    if found is not None:
                        yield Found(found, Known.HARMFUL, found.path, "it stands where another function may call it")

    def _of_name(self, node: Global) -> Iterator[Found]:
        if not self._use(node.module, node.name):
            why = harm.of_name(node.module, node.name)
            yield Found(node, Known.HARMFUL if why else Known.UNKNOWN, node.path, why)

    def _of_call(self, call: Call) -> Iterator[Found]:
        about = subject(call)
        if about is None:
            known = Known.MISUSED if has_arrays(self.pickle) else Known.HARMFUL
            yield Found(call, known, "something", "that is computed while loading")
            return
        use = self._use(about.module, about.name)
        if call.path in GETATTR:
            yield _of_attribute(call)
        elif use is None or use.call is None:
            why = harm.of_call(about.module, about.name, call)
            yield Found(call, Known.HARMFUL if why else Known.UNKNOWN, about.path, why)
        elif wrong := _misuse(call, about, use):
            yield Found(call, Known.MISUSED, about.path, wrong)

    def _use(self, module: str, name: str) -> Use | None:
        if (module, name) in self.trusted:
            return TRUSTED
        return ALLOWED.get((module, name))


TRUSTED = Use(shapes.anything, builds=True)
"""What the user vouches for."""


NEVER_PARKED = frozenset(
    (
        *("torch.storage._load_from_bytes", "copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"),
        *("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type", "copy_reg.__newobj__"),
        *("torch.tensor._rebuild_from_type_v2", "torch.tensor._rebuild_from_type"),
    )
)
"""Allowed functions that honest pickles call themselves, and never hand on."""

ABOUT_ANOTHER = RECONSTRUCTORS | NEW_OBJECTS | GETATTR
"""Functions whose call is about the class or the owner that they are given."""


def _is_as_it_should_be(node: Node, known: Mapping[int, Use]) -> bool:
    use = known.get(id(node.parts[0])) if node.op in ("REDUCE", "NEWOBJ") else None
    if use is None or use.call is None or not isinstance(node, Call) or type(node.parts[1]) is not Tuple:
        return False
    return not use.call(node) and (use.builds or not _is_built(node))


def _is_built(node: Node) -> bool:
    return any(step.op == "BUILD" for step in node.steps)


class Subject(NamedTuple):
    """The name that a call is about: what is called, or the class that a helper makes an object of."""

    node: Node
    module: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


def subject(call: Call) -> Subject | None:
    """What a call is about; None where that is computed while loading."""
    about = _named(call.function)
    if about is None or about.path in GETATTR or about.path not in ABOUT_ANOTHER:
        return about
    first = call.arguments[0] if call.arguments else None
    return _named(plain(first)) if first is not None else about


def _named(node: Node) -> Subject | None:
    """A name, also one with its source beside it, or an attribute of one; None for one of more than `MOST_ATTRIBUTES`."""
    attributes = list[str]()
    for _ in range(MOST_ATTRIBUTES):
        if not isinstance(node, Call) or node.path not in GETATTR or len(node.arguments) != 2:
            break
        attributes.insert(0, text(plain(node.arguments[1])) or "")
        node = plain(node.arguments[0])
    if isinstance(node, Call) and node.path.partition(".")[0] in harm.CODE_PICKLERS:
        node = node.function
    owner = class_ref(node) if isinstance(node, Persistent) else node
    if not isinstance(owner, Global) or not all(attributes):
        return None
    return Subject(owner, owner.module, ".".join((owner.name, *attributes)))


MOST_ATTRIBUTES = 8
"""Classes inside one another, which protocols below 4 spell by `getattr`."""


def _of_attribute(call: Call) -> Found:
    """`getattr(owner, name)`, which is how protocols below 4 spell methods and classes inside of classes."""
    owner, name = plain(call.arguments[0]) if call.arguments else None, _last_text(call)
    what = f"{owner.path}.{name}" if isinstance(owner, Global | Call) and owner.path else f"attribute {name}"
    if name is None or (name.startswith("__") and name != "__new__"):
        return Found(call, Known.HARMFUL, what, "the attribute is a way around any list of names")
    if isinstance(owner, Global) and harm.is_own(owner.module) and not _is_class(owner):
        return Found(call, Known.HARMFUL, what, f"it reaches into {owner.path}, which is no class")
    why = harm.of_name(owner.module, owner.name) if isinstance(owner, Global) else ""
    return Found(call, Known.HARMFUL if why else Known.UNKNOWN, what, why)


def _is_class(owner: Global) -> bool:
    return owner.name.rpartition(".")[2].lstrip("_")[:1].isupper() or (owner.module, owner.name) in ALLOWED


def _last_text(call: Call) -> str | None:
    return text(plain(call.arguments[1])) if len(call.arguments) == 2 else None


def _misuse(call: Call, about: Subject, use: Use) -> str:
    """How an allowed name is called otherwise than any writer calls it; "" where it is not."""
    if call.op == "NEWOBJ_EX" and not _is_empty(plain(call.parts[2])):
        return "with arguments by name"
    if call.op not in ("INST", "OBJ") and not isinstance(plain(call.parts[1]), Tuple):
        return "with arguments that are computed while loading"
    if not use.builds and _is_built(call):
        return "and gives a state to what it made, which takes none"
    if call.path in NEW_OBJECTS and len(call.arguments) > 1:
        return "with arguments, which its pickles do not have"
    if call.path in RECONSTRUCTORS:
        return _odd_base(call)
    return use.call(call) if use.call else ""


def _odd_base(call: Call) -> str:
    """`_reconstructor(class, base, state)` calls the base, too."""
    base = plain(call.arguments[1]) if len(call.arguments) > 1 else None
    is_known = isinstance(base, Global) and (base.path in BASES or base.path == "collections.OrderedDict")
    return "" if is_known else "on a base that is none of Python's containers"


def _is_empty(node: Node) -> bool:
    return isinstance(node, Dict) and not any(True for _ in pairs(node))


def thrown_away(pickle: Pickle) -> set[int]:
    """The calls whose results are in no part of the object, by identity: they are made for what they do."""
    if pickle.root is None or not any(anomaly.kind in ("popped", "left over") for anomaly in pickle.anomalies):
        return set()
    kept = {id(node) for node in walk_unordered(pickle.root)}
    return {id(node) for node in pickle.calls if id(node) not in kept and isinstance(node, Call)}


def built_names(pickle: Pickle) -> Iterator[Global]:
    """Names themselves that are given a state: classes, functions, modules, also those that a persistent id stands for."""
    for ident in pickle.persistents:
        described = class_ref(ident) if _is_built(ident) else None
        if described is not None:
            yield described
    for node in pickle.calls:
        if isinstance(node, Global) and _is_built(node):
            yield node


def special_methods(pickle: Pickle) -> Iterator[tuple[Call, str]]:
    """Objects that are given something else for a special method, by any of their states; what several share is told once."""
    seen = set[int]()
    for node in pickle.calls:
        if isinstance(node, Call):
            for part in _states(node):
                if id(part) not in seen:
                    seen.add(id(part))
                    names = (text(key) for key, value in pairs(part) if not isinstance(value, Atom))
                    yield from ((node, name) for name in names if name in SPECIAL_METHODS)


def _states(call: Call) -> Iterator[Node]:
    """What BUILD gives to an object each time: a dict, or a tuple with the one of its slots."""
    for step in call.steps:
        if step.op == "BUILD":
            given = plain(step.items[0])
            yield from map(plain, given.parts[:2]) if isinstance(given, Tuple) else (given,)
