"""Nodes to Python values: what a loader would build, of what is on the allow list; anything else is an error or an `Opaque`.

Values are built in the order of the stream and without recursion, so nesting has no limit. Nothing named in a file is imported
or called: a row of the allow list names a function of `rebuild_python`, `rebuild_numpy`, `rebuild_torch` or `torch_values`, and
that is all that can happen. Tensors and arrays stay lazy; `materialize` reads them.
"""

import struct
from collections.abc import Callable

from ptzip.allowlist.judge import Judge
from ptzip.allowlist.table import AllowedName, allowed_row, is_allowed, pair
from ptzip.arguments import Unknown, check_choice
from ptzip.errors import FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.formats import legacy
from ptzip.formats.container import Part
from ptzip.formats.signatures import is_legacy
from ptzip.io.payloads import CheckedPayload
from ptzip.io.sources import BytesSource, Position, placed
from ptzip.limits import DEFAULT_LIMITS, Limits
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
    Pickle,
    Set,
    Step,
    Tuple,
    children,
    walk_unordered,
)
from ptzip.pickling.opcodes import VALUES
from ptzip.tensors.references import class_ref, storage_ref
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.torch_names import TENSOR_CLASSES
from ptzip.text import as_text
from ptzip.tree.calls import ResolvedCall, qualified_name, resolve
from ptzip.values import rebuild_numpy, rebuild_python, rebuild_torch, torch_values
from ptzip.values.containers import FILLS, Effort, new_dict, new_set
from ptzip.values.opaque import Opaque
from ptzip.values.storages import PartStorages
from ptzip.values.torch_values import NestedStream

VALUE_OF = "the value of "
"""How the name of a computed function begins, once however often calls return what is called."""

DEEPEST_STREAM = 4
"""How many pickles may be nested in one another as bytes."""

MISTAKES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, struct.error)
"""What rebuild functions and containers raise where a value does not fit."""

FUNCTIONS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for module in (rebuild_python.FUNCTIONS, rebuild_numpy.FUNCTIONS, rebuild_torch.FUNCTIONS, torch_values.FUNCTIONS)
    for function in module
}
"""Every function that a row of the allow list names."""

DECODED = (VALUES.keys() | {"NEXT_BUFFER"}) - {"NONE", "NEWTRUE", "NEWFALSE"}
"""The opcodes of atoms whose values are computed, and kept; those of all others would be half of what is kept."""

Pending = Node | tuple[Node, Step | None]
"""Work to do: a node, a node whose parts are built, or a step of it whose items are built."""


def build(part: Part, *, unknown: str = "error", limits: Limits = DEFAULT_LIMITS) -> object:
    """The value of a pickle; tensors and arrays are lazy.

    What is not on the allow list is an UnsupportedError that names it, or with unknown="keep" an `Opaque`. Raises FormatError
    where the pickle is broken or does what no pickler does.
    """
    check_choice("unknown", unknown, Unknown)
    with part.placed():
        return Builder(part, unknown == "keep", limits).build(part.root)


def build_array(call: Call) -> rebuild_numpy.NumpyArray | None:
    """The numpy array or scalar that a call rebuilds; None where it rebuilds anything else."""
    row = allowed_row(*pair(call.path))
    if row is None or row.rebuild not in ("empty_array", "array_from_buffer", "array_scalar"):
        return None
    part = Part("a numpy array", Pickle(call), _no_storage)
    try:
        found = Builder(part, False, DEFAULT_LIMITS).build(call)
    except PtzipError:
        return None
    return found if isinstance(found, rebuild_numpy.NumpyArray) else None


class Builder:
    """Builds the values of one pickle; `values` has them by the identity of their nodes."""

    def __init__(self, part: Part, keep: bool, limits: Limits, depth: int = 0, effort: Effort | None = None) -> None:
        self.part = part
        self.keep = keep
        self.limits = limits
        self.depth = depth
        self.values: dict[int, object] = {}
        self.storages = PartStorages(part)
        self.judge = Judge(part.pickle)
        self.effort = effort or Effort(limits.opcodes)
        self.has_names = False
        """Whether there was a name that may not be part of the object."""

    def build(self, root: Node) -> object:
        """The value of a node and, in `values`, of all below it."""
        pending: list[Pending] = [root]
        seen: set[int] = set()
        while pending:
            item = pending.pop()
            if isinstance(item, Node):
                if id(item) not in seen:
                    seen.add(id(item))
                    pending.append((item, None))
                    self._schedule(item.parts, pending)
                continue
            node, step = item
            if step is not None:
                self._apply(node, step)
                continue
            self.values[id(node)] = self._value(node)
            for done in reversed(node.steps):
                if done.op not in PUTS:
                    pending.append((node, done))
                    self._schedule(done.items, pending)
        if self.has_names and not self.keep:
            refuse_names(root)
        return self.values[id(root)]

    def value(self, node: Node) -> object:
        """The value of a node that was built before; any other order is not that of a pickler."""
        if type(node) is Atom and node.op not in DECODED:
            return node.value
        try:
            return self.values[id(node)]
        except KeyError:
            raise FormatError("a value contains itself before it exists", node.offset) from None

    def _schedule(self, nodes: list[Node], pending: list[Pending]) -> None:
        """Build some nodes next, the first of them first; atoms, which most are, at once, if that takes anything."""
        for node in reversed(nodes):
            if type(node) is not Atom or any(step.op not in PUTS for step in node.steps):
                pending.append(node)
            elif node.op in DECODED and id(node) not in self.values:
                self.values[id(node)] = self._value(node)

    def _value(self, node: Node) -> object:
        match node:  # the most frequent kinds first, since they are tried in order
            case Atom():
                if node.op == "NEXT_BUFFER":
                    raise UnsupportedError("the pickle takes a buffer that is not in the file", node.offset)
                return node.value
            case Tuple():
                return self.effort.noted(tuple([self.value(part) for part in node.parts]))
            case Call():
                return self._call(node)
            case Persistent():
                return self._persistent(node)
            case List():
                return [self.value(part) for part in node.parts]
            case Dict():
                return new_dict(self.effort, node, [self.value(part) for part in node.parts])
            case Set():
                return new_set(self.effort, node, [self.value(part) for part in node.parts])
            case Detour():
                return self.value(node.parts[-1])
            case Global():
                return self._name(node.module, node.name)
        raise FormatError(f"{node.op} is no value", node.offset)

    def _name(self, module: str, name: str) -> object:
        """The value of a bare name: that of its row where it has one, else an `Opaque`."""
        row = allowed_row(module, name)
        if row is not None and row.value:
            return FUNCTIONS[row.value](name)
        self.has_names = self.has_names or row is None or not row.is_value
        return Opaque(module, name)

    def _persistent(self, node: Persistent) -> object:
        """A storage, a class with its source, or a tensor of a tar; anything else is unknown."""
        reference = storage_ref(node)
        if reference is not None:
            return self.storages.of(reference)
        cls = class_ref(node)
        if cls is not None:
            return self._name(cls.module, cls.name)
        key = str(node.id.value) if isinstance(node.id, Atom) else ""
        if key in self.part.tensors:
            return self.storages.tar_tensor(self.part.tensors[key])
        call = resolve(node)
        if call is not None:
            return self._unknown(node, self._opaque(call), "a function of its package")
        value = self.value(node.parts[0]) if node.parts else key
        return self._unknown(node, Opaque("", "persistent id", (value,)), "which names no storage")

    def _call(self, node: Call) -> object:
        call = resolve(node)
        if call is None:
            value = self.value(node.function)
            name = (
                f"{VALUE_OF}{value.path.removeprefix(VALUE_OF)}"
                if isinstance(value, Opaque)
                else f"an object of {type(value).__name__}"
            )
            return self._unknown(node, Opaque("", name, self._positional(node)), "computed while loading")
        if call.kind == "getattr":
            return self._attribute(call)
        row = allowed_row(call.target.module, call.target.name)
        if row is None or (call.helper and not is_allowed(*pair(call.helper))):
            return self._unknown(node, self._opaque(call), "which is not allow-listed")
        if wrong := self.judge.misuse(call, row):
            return self._unknown(node, self._opaque(call), wrong)
        return self._rebuilt(call, row) if row.rebuild else self._opaque(call)

    def _rebuilt(self, call: ResolvedCall, row: AllowedName) -> object:
        """What the function of a row returns for a call."""
        name, *texts = row.rebuild.split()
        arguments = tuple(self.value(argument) for argument in call.arguments)
        try:
            if call.contents is not None and self.value(call.contents) is not None:
                raise ValueError("its base gets contents")
            for argument in arguments:
                self.effort.copied(argument)
            found = FUNCTIONS[name](*texts, *arguments)
        except (*MISTAKES, UnsupportedError) as error:
            return self._unknown(call.node, self._opaque(call), f"in a way that cannot be rebuilt: {error}")
        if isinstance(found, NestedStream):
            return self._nested(found)
        if isinstance(found, tuple):
            return self.effort.noted(found)
        if isinstance(found, Tensor) and found.class_path not in TENSOR_CLASSES and not self.keep:
            return self._unknown(call.node, Opaque("", found.class_path, arguments), "a tensor class that cannot be rebuilt")
        return found

    def _opaque(self, call: ResolvedCall) -> Opaque:
        """The inert record of a call that is not rebuilt."""
        arguments = tuple(self.value(argument) for argument in call.arguments)
        if call.has_computed_arguments and isinstance(call.node, Call):
            arguments = self._positional(call.node)
        keywords = self.value(call.keywords) if call.keywords is not None else {}
        if not isinstance(keywords, dict):
            raise FormatError("a call has keyword arguments that are no dict", call.node.offset)
        contents = self.value(call.contents) if call.contents is not None else None
        for copied in (keywords, contents):
            self.effort.copied(copied)
        found = Opaque(call.target.module, call.target.name, arguments)
        found.kwargs = {as_text(key): value for key, value in keywords.items()}
        if isinstance(contents, list):
            found.items += contents
        elif isinstance(contents, dict):
            found.pairs += contents.items()
        elif contents is not None:
            found.args = (contents,)
        return found

    def _attribute(self, call: ResolvedCall) -> object:
        """`getattr(owner, name)` as a value: a name, never an attribute of anything."""
        name = qualified_name(call.node)
        if name is None:
            return self._unknown(call.node, self._opaque(call), "of something computed while loading")
        self.has_names = True
        return Opaque(name.module, name.name)

    def _positional(self, node: Call) -> tuple[object, ...]:
        """The positional arguments of a call as far as they are known, also where they are computed while loading."""
        if node.op in ("INST", "OBJ"):
            return tuple(self.value(part) for part in node.arguments)
        given = self.value(node.parts[1])
        if not isinstance(given, tuple):
            raise FormatError("a call has arguments that are no tuple", node.offset)
        return given

    def _unknown(self, node: Node, kept: Opaque, why: str) -> Opaque:
        if not self.keep:
            raise UnsupportedError(f"the pickle calls {kept.path}, {why}", node.offset)
        return kept

    def _nested(self, data: NestedStream) -> object:
        """The object of a legacy stream that is a value of this pickle."""
        if self.depth >= DEEPEST_STREAM:
            raise LimitError(f"more than {DEEPEST_STREAM} streams are nested in one another")
        name = f"a stream inside {self.part.name}"
        source = BytesSource(bytes(data), name, Position(0, name))
        if not is_legacy(source):
            raise UnsupportedError(f"{source.name} is not of the legacy format")
        with placed(source):
            inner = legacy.read(source, self.limits).parts[0]
            self.effort.spend(inner.pickle.cost)
            return Builder(inner, self.keep, self.limits, self.depth + 1, self.effort).build(inner.root)

    def _apply(self, node: Node, step: Step) -> None:
        """Do to a value what one opcode does: append, set, build."""
        value, items = self.value(node), [self.value(item) for item in step.items]
        try:
            if step.op == "BUILD":
                self._set_state(node, value, items[0])
            elif step.op in FILLS:
                FILLS[step.op](self.effort, value, items)
        except MISTAKES as error:
            kind = value.path if isinstance(value, Opaque) else type(value).__name__
            raise FormatError(f"{step.op} does not fit an object of {kind}: {error}", node.offset) from error

    def _set_state(self, node: Node, value: object, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            self.effort.copied(part)
        if isinstance(value, Opaque):
            if value.is_name and not self.keep:
                raise UnsupportedError(f"the pickle sets a state on {value.path} itself", node.offset)
            merges = isinstance(value.state, dict) and isinstance(state, dict)
            value.state = {**value.state, **state} if merges else state  # type: ignore[dict-item]
            return
        call = resolve(node)
        row = allowed_row(call.target.module, call.target.name) if call else None
        if row is None or row.state not in FUNCTIONS:
            raise TypeError("it takes no state")
        FUNCTIONS[row.state](value, state)


def refuse_names(root: Node) -> None:
    """Raise UnsupportedError where a tree contains a class or function that is not allow-listed, or only as a callee."""
    pending = [root]
    for node in walk_unordered(root):
        is_function_first = isinstance(node, Call) and node.op != "INST"
        pending += children(node)[1:] if is_function_first else children(node)
    for name in filter(None, map(qualified_name, pending)):
        row = allowed_row(name.module, name.name)
        if row is None:
            raise UnsupportedError(f"the pickle contains {name.path}, which is not allow-listed")
        if not row.is_value:
            raise UnsupportedError(f"the pickle contains {name.path}, which picklers call and never store")


def _no_storage(key: str) -> CheckedPayload:
    raise FormatError(f"storage {key} is missing")
