"""Whether two values are equal apart from what is below them, and how a value is described.

Everything in a value is either in its children (`values.value_children`) or in its `content`: two values are equal where both
are.
"""

import contextlib
import datetime
import decimal
import math
from collections import defaultdict, deque
from collections.abc import Hashable

from ptzip.errors import PtzipError
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.text import has_decimal
from ptzip.values.numpy_objects import to_array
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray, NumpyDtype, NumpyRandom
from ptzip.values.torch_values import Generator, Size
from ptzip.values.value_children import CHILDREN

BY_TEXT = (complex, datetime.datetime, datetime.time, decimal.Decimal)
"""Types for which `==` is not identity: 0.0 equals -0.0, NaN differs from itself, and time zones are ignored."""

LONGEST = 60
MOST_NUMBERS = 4
"""How much of a value is shown: characters of a text, numbers of an array."""


def content(value: object) -> Hashable:
    """What there is in a container or object apart from its children; nothing for tensors, which are compared on their own."""
    if isinstance(value, Opaque):
        return value.path, value.is_name, type(value.state), len(value.args or ())
    if isinstance(value, NumpyArray):
        return value.shape, value.stride, value.is_scalar, None if isinstance(value.data, list) else bytes(value.data)
    if isinstance(value, NumpyDtype):
        shape = value.subtype[1] if value.subtype else None
        return value.code, value.order, value.names, shape, tuple(at for _, at in value.fields.values()), value.size
    if isinstance(value, NumpyRandom):
        return value.kind, value.bits
    if isinstance(value, Generator):
        return value.device
    if isinstance(value, defaultdict):
        return value.default_factory
    return value.maxlen if isinstance(value, deque) else None


CONTAINERS = (dict, list, tuple, set, frozenset, deque)


def may_have_children(value: object) -> bool:
    """Whether there may be values below one: it is an object, or a container that is not empty."""
    return type(value) in CHILDREN and (bool(value) if isinstance(value, CONTAINERS) else True)


def are_equal(a: object, b: object) -> bool:
    """Whether two values are equal, apart from what is below them."""
    if type(a) is not type(b):
        return False
    if type(a) in CHILDREN:
        return content(a) == content(b)
    if isinstance(a, BY_TEXT):
        return repr(a) == repr(b)
    return bool(a == b) or (a != a and b != b)


def type_text(value: object) -> str:
    """The type of a value, with the dtype and shape of a tensor or array."""
    if isinstance(value, Opaque):
        return value.path
    if isinstance(value, Tensor):
        return f"tensor {value.dtype} {list(value.shape)}" + ("" if value.layout == "strided" else f" {value.layout}")
    if isinstance(value, NumpyArray):
        return f"numpy scalar {value.dtype}" if value.is_scalar else f"numpy array {value.dtype} {list(value.shape)}"
    if isinstance(value, Storage):
        return f"{value.dtype.storage or 'storage'} of {value.size} bytes"
    return "torch.Size" if isinstance(value, Size) else type(value).__name__


def describe(value: object) -> str:
    """A value in a few words: itself where it is short, else its type and size."""
    if isinstance(value, str | bytes | bytearray):
        return _text(value)
    if isinstance(value, NumpyArray):
        return f"{type_text(value)}{_numbers(value)}"
    if isinstance(value, Opaque):
        return f"name {value.path}" if value.is_name else f"object of {value.path}"
    if isinstance(value, CONTAINERS):
        return f"{type_text(value)} of {len(value)}"
    return type_text(value) if type(value) in CHILDREN or isinstance(value, Storage) else _repr(value)


def _text(value: str | bytes | bytearray) -> str:
    if len(value) <= LONGEST:
        return repr(value)
    return f"{value[:LONGEST]!r}... ({len(value):,} {'characters' if isinstance(value, str) else 'bytes'})"


def _repr(value: object) -> str:
    if isinstance(value, int) and not has_decimal(value):
        return f"{hex(value)[:LONGEST]}... ({value.bit_length():,} bits)"
    try:
        text = repr(value)
    except ValueError:  # there is a number in it that has too many digits for Python
        return type_text(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _numbers(value: NumpyArray) -> str:
    """The numbers of a small array, after a space."""
    dtype = value.dtype
    is_small = 0 < math.prod(value.shape) <= MOST_NUMBERS
    if is_small and dtype.code[:1] in "biufc" and not (dtype.names or dtype.subtype):
        with contextlib.suppress(PtzipError):
            return f" {to_array(value).tolist()}"
    return ""
