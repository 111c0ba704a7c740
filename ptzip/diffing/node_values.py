"""What a value of a checkpoint is, apart from what is below it: its class, its own content, its text.

Rule: whatever a pickle says of a value is in its children or in its content, so that values are the same where these are. The
parts of names are those of `objects.paths`.
"""

import datetime
import decimal
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from ptzip.errors import PtzipError
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.text import has_decimal
from ptzip.values.contents import SIMPLE
from ptzip.values.numpy_objects import made
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array, ArrayType, RandomState
from ptzip.values.torch_values import Generator, Size
from ptzip.values.value_paths import UNNAMED, key_text

BY_TEXT = (complex, datetime.datetime, datetime.time, decimal.Decimal)
"""Types of which equal values may still not be the same, or one not equal to itself."""

LONGEST = 60
MOST_NUMBERS = 4
"""How much of a value is shown: letters of a text, numbers of an array."""


class Child(NamedTuple):
    """A value below another: `key` is its place there, `part` its part of the name, or None where it adds none."""

    key: Hashable
    part: str | None
    value: object


def children(value: object) -> list[Child]:
    """What is right below a value."""
    if isinstance(value, dict):
        attributes = value.__dict__ if isinstance(value, OrderedDict | Counter) else {}
        return [*_keyed("key", value.items()), *_keyed("attribute", attributes.items())]
    if isinstance(value, list | tuple | deque):
        return _indexed("item", list(value))
    if isinstance(value, set | frozenset):
        return _keyed("item", [(item, item) for item in value])
    if isinstance(value, Opaque):
        return _of_opaque(value)
    if isinstance(value, Tensor):
        return [*_keyed("component", value.components.items()), *_keyed("attribute", value.attributes.items())]
    return _keyed("attribute", value.__dict__.items()) if isinstance(value, SIMPLE) else _rarely(value)


def _rarely(value: object) -> list[Child]:
    """The same of what is rarely met."""
    if isinstance(value, Array):
        items = value.data if isinstance(value.data, list) else []
        return [Child("dtype", "dtype", value.dtype), *_indexed("item", items)]
    if isinstance(value, ArrayType):
        return _of_array_type(value)
    if isinstance(value, RandomState):
        return [Child("state", "state", value.state)]
    if isinstance(value, Generator):
        told = (("seed", value.seed), ("offset", value.offset), ("state", value.state))
        return [Child(name, name, item) for name, item in told]
    return []


def _of_opaque(value: Opaque) -> list[Child]:
    attributes = value.attributes
    unnamed = UNNAMED if "_modules" in attributes else ()
    is_plain = bool(attributes) or value.state is None
    below = [child._replace(part=None) if child.part in unnamed else child for child in _keyed("state", attributes.items())]
    return [
        *_indexed("argument", list(value.args or ())),
        *_keyed("argument", value.kwargs.items()),
        *(below if is_plain else [Child("state", None, value.state)]),
        *_indexed("item", value.items),
        *_keyed("key", value.pairs),
    ]


def _indexed(where: str, items: list[object]) -> list[Child]:
    return [Child((where, place), str(place), item) for place, item in enumerate(items)]


def _keyed(where: str, pairs: Iterable[tuple[object, object]]) -> list[Child]:
    """The values by their keys; a key without a short text is one of them."""
    found = list[Child]()
    for place, (key, item) in enumerate(pairs):
        name = key_text(key)
        if name is None:
            found += [Child((where, place, "key"), str(place), key), Child((where, place), str(place), item)]
        else:
            found.append(Child((where, type(key), name), name, item))
    return found


def _of_array_type(value: ArrayType) -> list[Child]:
    base = [Child("base", None, value.subtype[0])] if value.subtype else []
    return [*base, Child("unit", "unit", value.unit), *(Child(name, name, kind) for name, (kind, _) in value.fields.items())]


def content(value: object) -> Hashable:
    """All that a value with others below it tells beside them; of tensors nothing, since these are compared elsewhere."""
    if isinstance(value, Opaque):
        return value.path, value.is_name, type(value.state), len(value.args or ())
    if isinstance(value, Array):
        return value.shape, value.fortran, value.is_scalar, None if isinstance(value.data, list) else bytes(value.data)
    if isinstance(value, ArrayType):
        shape = value.subtype[1] if value.subtype else None
        return value.code, value.order, value.names, shape, tuple(at for _, at in value.fields.values()), value.size
    if isinstance(value, RandomState):
        return value.kind, value.bits
    if isinstance(value, Generator):
        return value.device
    if isinstance(value, defaultdict):
        return value.default_factory
    return value.maxlen if isinstance(value, deque) else None


CONTAINERS = (dict, list, tuple, set, frozenset, deque)
HOLDERS = (*CONTAINERS, *SIMPLE, Opaque, Array, ArrayType, RandomState, Generator, Tensor)
"""The types whose values hold others."""


def are_same(a: object, b: object) -> bool:
    """Whether two values are the same, apart from what is below them."""
    if type(a) is not type(b):
        return False
    if isinstance(a, HOLDERS):
        return content(a) == content(b)
    if isinstance(a, BY_TEXT):
        return repr(a) == repr(b)
    return bool(a == b) or (a != a and b != b)


def kind(value: object) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, Opaque):
        return value.path
    if isinstance(value, Tensor):
        return f"tensor {value.dtype} {list(value.shape)}" + ("" if value.layout == "strided" else f" {value.layout}")
    if isinstance(value, Array):
        return f"numpy scalar {value.dtype}" if value.is_scalar else f"numpy array {value.dtype} {list(value.shape)}"
    if isinstance(value, Storage):
        return f"storage of {value.size} bytes"
    return "torch.Size" if isinstance(value, Size) else type(value).__name__


def told(value: object) -> str:
    """A value in a few words: itself where it is short, else what it is."""
    if isinstance(value, str | bytes | bytearray):
        return _text(value)
    if isinstance(value, Array):
        return f"{kind(value)}{_numbers(value)}"
    if isinstance(value, Opaque):
        return f"name {value.path}" if value.is_name else f"object of {value.path}"
    if isinstance(value, CONTAINERS):
        return f"{kind(value)} of {len(value)}"
    return kind(value) if isinstance(value, (*HOLDERS, Storage)) else _spelled(value)


def _text(value: str | bytes | bytearray) -> str:
    if len(value) <= LONGEST:
        return repr(value)
    return f"{value[:LONGEST]!r}... ({len(value):,} {'characters' if isinstance(value, str) else 'bytes'})"


def _spelled(value: object) -> str:
    if isinstance(value, int) and not has_decimal(value):
        return f"{hex(value)[:LONGEST]}... ({value.bit_length():,} bits)"
    try:
        text = repr(value)
    except ValueError:  # it holds a number of more digits than Python spells
        return kind(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _numbers(value: Array) -> str:
    """The numbers of a small array, after a space."""
    if (
        not 0 < math.prod(value.shape) <= MOST_NUMBERS
        or value.dtype.code[:1] not in "biufc"
        or value.dtype.names
        or value.dtype.subtype
    ):
        return ""
    try:
        return f" {made(value).tolist()}"
    except PtzipError:
        return ""
