"""What is in a value: its children with their part of the path, by the rules of `tree.paths`, and all objects it refers to.

Every type of container that a rebuild function returns is listed here; there is nothing in a value of any other type.
"""

import argparse
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from ptzip.tensors.tensor import Tensor
from ptzip.tree.modules import UNNAMED
from ptzip.tree.paths import key_text
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray, NumpyClass, NumpyDtype, NumpyRandom
from ptzip.values.torch_values import Device, Dtype, Generator, Layout, MemoryFormat, QScheme, Size

SIMPLE = (argparse.Namespace, types.SimpleNamespace)
"""Classes whose objects have attributes and nothing else."""


class ValueChild(NamedTuple):
    """A value below another, with its part of the path, None where it adds none; `key` identifies it among its siblings."""

    part: str | None
    value: object
    key: Hashable = None


def value_children(value: object) -> list[ValueChild]:
    """What is right below a value."""
    children_of = CHILDREN.get(type(value))
    return children_of(value) if children_of else []


def value_key_text(key: object) -> str | None:
    """The text of a key, or None where it has none: see `key_text`."""
    if type(key) is str:  # most keys
        return key_text(key)
    if isinstance(key, Dtype | Device | Layout | QScheme | MemoryFormat):
        return key_text(str(key))
    if isinstance(key, Opaque):
        return key_text(key.path.replace("__builtin__.", "builtins.", 1)) if key.is_name else None
    if isinstance(key, type):
        return key_text(f"{key.__module__}.{key.__qualname__}")
    return key_text(f"numpy.{key.name}" if isinstance(key, NumpyClass) else key)


def _indexed(source: str, items: Iterable[object]) -> list[ValueChild]:
    return [ValueChild(str(index), item, (source, index)) for index, item in enumerate(items)]


def _keyed(source: str, pairs: Iterable[tuple[object, object]]) -> list[ValueChild]:
    """Values by their keys; a key without a text is a child as well, since it may be a tensor or have one below it."""
    found = list[ValueChild]()
    for index, (key, item) in enumerate(pairs):
        name = value_key_text(key)
        if name is None:
            found += [ValueChild(str(index), key, (source, index, "key")), ValueChild(str(index), item, (source, index))]
        else:
            found.append(ValueChild(name, item, (source, type(key), name)))
    return found


def _of_set(value: set[object] | frozenset[object]) -> list[ValueChild]:
    texts = [(item, value_key_text(item)) for item in sorted(value, key=_set_order)]
    return [
        ValueChild(str(index) if name is None else name, item, ("item", type(item), index if name is None else name))
        for index, (item, name) in enumerate(texts)
    ]


def _set_order(item: object) -> tuple[str, int, str, int]:
    """An order of the items of a set, since that of Python differs from run to run: by text, tensors by their storages."""
    tensor = item if isinstance(item, Tensor) else Tensor()
    storage = tensor.storage.key if tensor.storage else ""
    return value_key_text(item) or "", len(storage), storage, tensor.offset


def _of_opaque(value: Opaque) -> list[ValueChild]:
    attributes = value.attributes
    has_attributes = bool(attributes) or value.state is None
    unnamed = UNNAMED if "_modules" in attributes else ()
    below = [one._replace(part=None) if one.part in unnamed else one for one in _keyed("state", attributes.items())]
    return [
        *_indexed("argument", value.args or ()),
        *_keyed("argument", value.kwargs.items()),
        *(below if has_attributes else [ValueChild(None, value.state, "state")]),
        *_indexed("item", value.items),
        *_keyed("key", value.pairs),
    ]


def _of_array_type(value: NumpyDtype) -> list[ValueChild]:
    base = [ValueChild(None, value.subtype[0], "base")] if value.subtype else []
    fields = [ValueChild(name, kind, name) for name, (kind, _) in value.fields.items()]
    return [*base, ValueChild("unit", value.unit, "unit"), *fields]


CHILDREN: dict[type, Callable[[Any], list[ValueChild]]] = {
    **dict.fromkeys((dict, defaultdict), lambda value: _keyed("key", value.items())),
    **dict.fromkeys(
        (OrderedDict, Counter),
        lambda value: [*_keyed("key", value.items()), *_keyed("attribute", value.__dict__.items())],
    ),
    **dict.fromkeys((list, tuple, Size, deque), lambda value: _indexed("item", value)),
    **dict.fromkeys((set, frozenset), _of_set),
    Opaque: _of_opaque,
    Tensor: lambda value: (
        [*_keyed("component", value.components.items()), *_keyed("attribute", value.attributes.items())]
        if value.components or value.attributes  # few tensors
        else []
    ),
    **dict.fromkeys(SIMPLE, lambda value: _keyed("attribute", value.__dict__.items())),
    NumpyArray: lambda value: [
        ValueChild("dtype", value.dtype, "dtype"),
        *(_indexed("item", value.data) if isinstance(value.data, list) else ()),
    ],
    NumpyDtype: _of_array_type,
    NumpyRandom: lambda value: [ValueChild("state", value.state, "state")],
    Generator: lambda value: [
        ValueChild(name, part, name) for name, part in (("seed", value.seed), ("offset", value.offset), ("state", value.state))
    ],
}
"""What is right below a value, by its type."""


def referents(value: object) -> list[object]:
    """The objects that a value refers to itself, keys too: a state is one object, whatever it says of attributes."""
    if isinstance(value, dict):
        attributes = list(value.__dict__.values()) if isinstance(value, OrderedDict | Counter) else []
        return [*value.keys(), *value.values(), *attributes]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, Opaque):
        return [
            *(value.args or ()),
            *value.kwargs.values(),
            value.state,
            *value.items,
            *(x for pair in value.pairs for x in pair),
        ]
    if isinstance(value, Tensor):
        return [*value.components.values(), *value.attributes.values()]
    if isinstance(value, SIMPLE):
        return list(value.__dict__.values())
    if isinstance(value, NumpyArray):
        return list(value.data) if isinstance(value.data, list) else []
    if isinstance(value, NumpyRandom):
        return [value.state]
    return [value.state] if isinstance(value, Generator) else []


def reachable(root: object) -> Iterator[object]:
    """Every value at or below `root` that refers to others, once; after those it refers to, except in a cycle."""
    seen: set[int] = set()
    pending: list[tuple[object, bool]] = [(root, False)]
    while pending:
        value, is_done = pending.pop()
        if is_done:
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            held = referents(value)
            if held or isinstance(value, Opaque):
                pending.append((value, True))
                pending += [(item, False) for item in reversed(held)]
