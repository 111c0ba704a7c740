"""Dotted names: where tensors stand in a value, as a state dict would call them.

    a key of a dict, an index of a list, an attribute of an object: itself, as text
    _modules, _parameters, _buffers of a module: nothing, so that a module's tensors are called as in its state dict
    a key that has no short text (a tensor, an object): its place among the keys
    a component of a tensor: its name, behind that of the tensor

Rule: a tensor is listed under every name. Containers and modules that stand in several places are walked in each, as
`state_dict()` does; other objects only where they are met first, since they may hold anything, even one another.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ptzip.errors import LimitError
from ptzip.tensors.tensor import Tensor
from ptzip.text import has_decimal
from ptzip.values.contents import SIMPLE, below
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array, RandomState
from ptzip.values.torch_values import Device, Dtype, Generator, Layout, QScheme

UNNAMED = ("_parameters", "_buffers", "_modules")
"""The dicts of a module that are no part of a name."""

MOST_NAMES = 1_000_000
MOST_CHARACTERS = 1 << 28
"""How many names there may be, and how long they may be together."""

SHORT_KEYS = (str, int, float, bool, bytes, type(None), Dtype, Device, Layout, QScheme)
LONGEST_KEY = 1000
"""The keys whose text is a name, and how long that may be."""

Parts = list[tuple[str | None, object]]
"""Values and their parts of the name; None where one adds none."""


class _Link(NamedTuple):
    """A name as a chain, so that a deep one is spelled only where a tensor has it."""

    above: Optional["_Link"]
    part: str

    def spelled(self) -> str:
        parts: list[str] = []
        link: _Link | None = self
        while link is not None:
            parts.append(link.part)
            link = link.above
        return ".".join(reversed(parts))


def named_tensors(root: object) -> dict[str, Tensor]:
    """Every tensor below a value by its dotted name, in the order of the pickle; "" is the value itself.

    Where two tensors would have one name, the later is called `name (2)`. Raises LimitError where the names are too many.
    """
    found: dict[str, Tensor] = {}
    characters = 0
    for link, tensor in _Walk().tensors(root):
        name = free_name(found, link.spelled() if link else "", tensor)
        found[name] = tensor
        characters += len(name)
        if len(found) > MOST_NAMES or characters > MOST_CHARACTERS:
            raise LimitError(f"the tensors have more than {MOST_NAMES} names, or names of more than {MOST_CHARACTERS} letters")
    return found


def free_name(found: dict[str, Tensor], name: str, tensor: Tensor) -> str:
    """The name for a tensor, with a number where another tensor has it."""
    number, free = 1, name
    while free in found and found[free] is not tensor:
        number += 1
        free = f"{name} ({number})"
    return free


class _Walk:
    """One walk, depth first, without calling itself: a checkpoint may be nested deeper than Python allows."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.barren: set[int] = set()
        """Values below which no tensor was found: they need no second visit."""
        self.way: list[int] = []
        """The values on the way down."""
        self.fruitful = [False]
        """For each of them, and the root, whether a tensor was found below."""
        self.on_way: set[int] = set()

    def tensors(self, root: object) -> Iterator[tuple[_Link | None, Tensor]]:
        pending: list[tuple[_Link | None, object, bool]] = [(None, root, False)]
        while pending:
            link, value, is_left = pending.pop()
            if is_left:
                self.leave()
                continue
            if isinstance(value, Tensor):
                self.fruitful[-1] = True
                yield link, value
            if self.enter(value):
                pending.append((link, value, True))
                for part, item in reversed(parts(value)):
                    pending.append((link if part is None else _Link(link, part), item, False))

    def enter(self, value: object) -> bool:
        """Whether the values below one are still to be named."""
        key = id(value)
        if key in self.on_way or key in self.barren or not below(value):
            return False
        if key in self.seen and isinstance(value, Opaque) and not is_module(value):
            return False
        self.seen.add(key)
        self.on_way.add(key)
        self.way.append(key)
        self.fruitful.append(False)
        return True

    def leave(self) -> None:
        key = self.way.pop()
        self.on_way.remove(key)
        if self.fruitful.pop():
            self.fruitful[-1] = True
        else:
            self.barren.add(key)


def is_module(value: object) -> bool:
    """Whether a value is a pickled `nn.Module`: told by its state, never by its class, which need not exist."""
    return isinstance(value, Opaque) and "_modules" in value.attributes


def parts(value: object) -> Parts:
    """The values right below one, each with its part of the name."""
    if isinstance(value, dict):
        attributes = list(value.__dict__.items()) if isinstance(value, OrderedDict) else []
        return [*_keyed(list(value.items())), *attributes]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return _indexed(list(value))
    if isinstance(value, Opaque):
        return _parts_of_opaque(value)
    if isinstance(value, Tensor):
        return [*value.components.items(), *value.attributes.items()]
    if isinstance(value, SIMPLE):
        return list(value.__dict__.items())
    if isinstance(value, Array):
        return _indexed(list(value.data)) if isinstance(value.data, list) else []
    return [("state", value.state)] if isinstance(value, Generator | RandomState) else []


def _indexed(items: list[object]) -> Parts:
    return [(str(place), item) for place, item in enumerate(items)]


def _keyed(pairs: list[tuple[object, object]]) -> Parts:
    """Keys and values; a key without a short text is a value too, since it may be a tensor."""
    found: Parts = []
    for place, (key, item) in enumerate(pairs):
        name = key_text(key)
        if name is None:
            found.append((str(place), key))
        found.append((str(place) if name is None else name, item))
    return found


def key_text(key: object) -> str | None:
    """The text of a key, or None where it has none that is short."""
    if isinstance(key, tuple) and all(isinstance(item, str | int | float | type(None)) for item in key):
        return short if all(map(has_decimal, key)) and len(short := repr(key)) <= LONGEST_KEY else None
    if not isinstance(key, SHORT_KEYS) or not has_decimal(key):
        return None
    return short if len(short := str(key)) <= LONGEST_KEY else None


def _parts_of_opaque(value: Opaque) -> Parts:
    attributes = value.attributes
    is_plain = bool(attributes) or value.state is None
    unnamed = UNNAMED if "_modules" in attributes else ()
    return [
        *_indexed(list(value.args or ())),
        *value.kwargs.items(),
        *((None if name in unnamed else name, item) for name, item in _keyed(list(attributes.items()))),
        *([] if is_plain else [(None, value.state)]),
        *_indexed(value.items),
        *_keyed(value.pairs),
    ]
