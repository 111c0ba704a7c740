"""Values of numpy in a tree: scalars as plain numbers, arrays as their bytes, read from the nodes that would rebuild them.

Rule: what has not exactly the form that numpy writes is None (`numpy/_core/src/multiarray`, `__reduce__`).
"""

import struct
from typing import NamedTuple

from ptzip.pickling.nodes import Atom, Call, Node, Tuple, plain, state, text

HOMES = ("numpy.core.multiarray", "numpy._core.multiarray")
SCALARS = frozenset(f"{home}.scalar" for home in HOMES)
BUFFERS = frozenset(("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"))
ARRAYS = frozenset(f"{home}._reconstruct" for home in HOMES) | BUFFERS

NAMES = {
    **{"f8": "float64", "f4": "float32", "f2": "float16", "b1": "bool"},
    **{f"i{size}": f"int{8 * size}" for size in (1, 2, 4, 8)},
    **{f"u{size}": f"uint{8 * size}" for size in (1, 2, 4, 8)},
}
"""The codes of dtypes that torch has, too."""

FORMATS = {
    "float64": "d",
    "float32": "f",
    "float16": "e",
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
}
"""How the struct module spells an element."""


class Array(NamedTuple):
    """A numpy array: `dtype` by the name that torch has for it, `data` little-endian elements."""

    dtype: str
    shape: tuple[int, ...]
    is_fortran: bool
    data: bytes


def scalar(call: Call) -> int | float | bool | None:
    """The number of a call of `scalar(dtype, bytes)`."""
    given = [plain(argument) for argument in call.arguments]
    kind, data = (_dtype(given[0]), _bytes(given[1])) if len(given) == 2 else (None, None)
    if kind is None or data is None:
        return None
    name, order = kind
    form = order + FORMATS[name]
    found: int | float | bool | None = struct.unpack(form, data)[0] if struct.calcsize(form) == len(data) else None
    return found


def array(call: Call) -> Array | None:
    """What a call makes: `_frombuffer(bytes, dtype, shape, order)` of protocol 5, or `_reconstruct`, whose state is
    (version, shape, dtype, is_fortran, bytes)."""
    if call.path in BUFFERS:
        data, kind, shape, order = ([plain(part) for part in call.arguments] + [call] * 4)[:4]
        return _array(kind, shape, _value(order) == "F", data)
    built = state(call)
    items = [plain(part) for part in built.parts] if isinstance(built, Tuple) else []
    return _array(items[2], items[1], _value(items[3]) is True, items[4]) if len(items) == 5 else None


def _array(kind: Node, sizes: Node, is_fortran: bool, content: Node) -> Array | None:
    dtype, data = _dtype(kind), _bytes(content)
    shape = [_value(part) for part in sizes.parts] if isinstance(sizes, Tuple) else [None]
    if dtype is None or data is None or dtype[1] == ">" or not all(isinstance(size, int) for size in shape):
        return None
    return Array(dtype[0], tuple(int(size) for size in shape if isinstance(size, int)), is_fortran, data)


def _value(node: Node) -> object:
    found = plain(node)
    return found.value if isinstance(found, Atom) else None


def _dtype(node: Node) -> tuple[str, str] | None:
    """The torch name of a dtype, and its byte order as the struct module spells it."""
    code = text(plain(node.arguments[0])) if isinstance(node, Call) and node.path == "numpy.dtype" and node.arguments else None
    built = state(node) if code in NAMES else None
    order = _value(built.parts[1]) if isinstance(built, Tuple) and len(built.parts) > 1 else "<"
    return (NAMES[code], ">" if order == ">" else "<") if code in NAMES else None


def _bytes(node: Node) -> bytes | None:
    """Bytes as protocol 3 spells them, or as the text that `_codecs.encode` makes bytes of."""
    if isinstance(node, Call) and node.path == "_codecs.encode" and len(node.arguments) == 2:
        found, encoding = (text(plain(argument)) for argument in node.arguments)
        return found.encode("latin-1") if found is not None and encoding in ("latin1", "latin-1") else None
    value = _value(node)
    return bytes(value) if isinstance(value, bytes | bytearray) else None
