"""The state while the values of a pickle are made, and what is decided on the way: is this name, this call known?

Rule: one node is one value, however often it is fetched; nothing out of the file is imported or called, `constructors` is all
that can happen.
"""

import struct
from collections.abc import Iterable

from ptzip.allowlist.table import is_allowed
from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node
from ptzip.tensors.tensor import Tensor
from ptzip.values.constructors import CONSTRUCTORS, NAMES
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_torch import KNOWN_CLASSES
from ptzip.values.storages import Storages

DEEPEST_KEY = 100
"""How many tuples a dict key may be deep: Python takes the hash of one by calling itself."""

MISTAKES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, struct.error)
"""What constructors and containers raise where a value does not fit."""


class Building:
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

    def value(self, node: Node) -> object:
        """The value of a node, which was made before: else the pickle is none that a pickler writes."""
        try:
            return self.values[id(node)]
        except KeyError:
            raise FormatError("a value contains itself before it is there", node.offset) from None

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
        self.has_names = self.has_names or not is_allowed(module, name)
        return Opaque(module, name)

    def call(self, node: Node, module: str, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """The value of a call. Raises UnsupportedError where it is not known and not to be kept."""
        path = f"{module}.{name}"
        make = CONSTRUCTORS.get(path) if "." not in name and not kwargs else None
        if make is None and is_allowed(module, name):
            return Opaque(module, name, args, kwargs=kwargs)
        if make is None:
            return self.unknown(node, Opaque(module, name, args, kwargs=kwargs), "which is not known to be harmless")
        try:
            self.check_keys(key for arg in args if isinstance(arg, list | tuple) for key in _keys(arg))
            found = make(*args)
        except (*MISTAKES, UnsupportedError) as error:
            return self.unknown(node, Opaque(module, name, args), f"in a way that cannot be rebuilt: {error}")
        if isinstance(found, Tensor) and found.class_path not in KNOWN_CLASSES and not self.keep:
            return self.unknown(node, Opaque("", found.class_path, args), "a class of tensors that is not known")
        return found

    def unknown(self, node: Node, kept: Opaque, why: str) -> Opaque:
        if not self.keep:
            raise UnsupportedError(f"the pickle calls {kept.path}, {why} (at byte {node.offset})")
        return kept


def called(value: object) -> str:
    return f"an object of {value.path}" if isinstance(value, Opaque) else f"an object of {type(value).__name__}"


def _keys(argument: list[object] | tuple[object, ...]) -> Iterable[object]:
    """What a constructor may take for keys: the items, and the first of pairs."""
    for item in argument:
        if isinstance(item, tuple | list):
            yield item
            yield from item[:1]
