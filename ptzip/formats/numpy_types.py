"""How large the elements of an array of numpy are, and whether they are objects.

A dtype is written in two ways: as a pickle of `numpy.dtype`, and as the `descr` of a `.npy` header (`numpy/lib/format.py`,
`descr_to_dtype`). Loaders skip the bytes of numbers and unpickle objects, so a reading has to be exact: only what numpy itself
writes is read, and anything else has no `ItemType`.
"""

import math
import re
from typing import Any, NamedTuple

from ptzip.pickling.nodes import Atom, Call, Dict, Global, Node, Tuple, pairs, plain, text
from ptzip.tensors.dtypes import STRING_DTYPE

CODE = r"b1|[iu][1248]|f(?:1|2|4|8|12|16)|c(?:8|16|24|32)|[SVU]\d{1,9}|[mM]8|O[48]?"
"""The kind of an element and its size, in bytes (`U`: in characters of four). It is compiled when first used."""

DESCRIBED = rf"[<>|=]?({CODE})(?:\[[0-9A-Za-z/]*\])?"
"""The same with a byte order, and the unit of a time."""

HAS_OBJECTS = 1
OBJECT_FLAGS, PLAIN_FLAGS, STRUCTURE_FLAGS = 0x3F, 0x08, 0x9B
"""The bit `NPY_ITEM_REFCOUNT` of the flags of a dtype (`numpy/ndarraytypes.h`), all those of an object, and those that a plain
type and a structure may have; a subarray has those of its elements. With others, numpy crashes.
"""

Known = dict[object, "ItemType | None"]
"""What was read before, since many arrays share dtypes, and dtypes share fields: by the identity of nodes."""

STATES = (8, 9)
"""The lengths of the state of a dtype since numpy 1.2: version, byte order, subarray, names, fields, size, alignment, flags,
and metadata in version 4 (`descriptor.c`, `arraydescr_setstate`).
"""

MOST_DIMENSIONS = 64
MOST_ELEMENTS = 1 << 62
"""numpy multiplies in 64 bits, and the result may wrap around."""

MOST_DEEP = 16
"""The most dtypes inside one another."""


class ItemType(NamedTuple):
    """The elements of an array: the size of one in bytes, and whether they are, or contain, references to objects."""

    size: int
    has_objects: bool


def described(descr: Any, depth: int = 0) -> ItemType | None:
    """The elements for a `descr`, which is a Python literal; None if numpy does not write it so."""
    if isinstance(descr, str):
        match = re.fullmatch(DESCRIBED, descr)
        return _of_code(match[1]) if match else None
    if isinstance(descr, tuple) and len(descr) == 2 and depth <= MOST_DEEP:
        return _repeated(described(descr[0], depth + 1), descr[1])
    if not isinstance(descr, list) or depth > MOST_DEEP:
        return None
    fields = [_field(field, depth + 1) for field in descr]
    known = [field for field in fields if field is not None]
    return _sum(known) if len(known) == len(fields) else None


def _field(field: Any, depth: int) -> ItemType | None:
    """A field of a structured dtype: (name or (title, name), descr), or these and a shape."""
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        return None
    names = field[0] if isinstance(field[0], tuple) else field[:1]
    if len(names) > 2 or not all(isinstance(name, str) for name in names):
        return None
    return described(field[1] if len(field) == 2 else field[1:], depth)


def _repeated(item: ItemType | None, shape: Any) -> ItemType | None:
    """A subarray of a shape, which is an integer or a tuple of them."""
    count = element_count(shape if isinstance(shape, tuple) else (shape,))
    return None if item is None or count is None else ItemType(item.size * count, item.has_objects)


def element_count(shape: Any) -> int | None:
    """The number of elements of an array; None unless the shape is a tuple of sizes whose product numpy can count."""
    if (
        not isinstance(shape, tuple)
        or len(shape) > MOST_DIMENSIONS
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        return None
    count = math.prod(shape)
    return count if count <= MOST_ELEMENTS else None


def _sum(items: list[ItemType]) -> ItemType:
    return ItemType(sum(item.size for item in items), any(item.has_objects for item in items))


def _of_code(code: str) -> ItemType:
    kind, digits = code[0], code[1:]
    return ItemType(int(digits or 8) * (4 if kind == "U" else 1), kind == "O")


def pickled(dtype: Node | None, known: Known, depth: int = 0) -> ItemType | None:
    """The elements for a pickled dtype; None if numpy does not pickle it so. `known` has those that were read before."""
    if dtype is None or depth > MOST_DEEP:
        return None
    if id(dtype) not in known:
        known[id(dtype)] = None
        known[id(dtype)] = _read_pickled(dtype, known, depth)
    return known[id(dtype)]


def _read_pickled(dtype: Node, known: Known, depth: int) -> ItemType | None:
    """`numpy.dtype(code, False, True)` with one state. The size in the state is what counts for texts, bytes and structures
    (`PyTypeNum_ISEXTENDED`); whether there are objects, is what the flags say. Both have to be what the code says. The texts
    of `StringDType` are pickled as objects.
    """
    if (
        isinstance(dtype, Call)
        and dtype.path == STRING_DTYPE
        and dtype.op == "REDUCE"
        and not any(step.op == "BUILD" for step in dtype.steps)
    ):
        return ItemType(16, has_objects=True)
    state = _state(dtype)
    code = _code(dtype, value(state[5])) if state else None
    if code is None or state is None or not re.fullmatch(CODE, code):
        return None
    subarray, names, fields, size, _, flags = state[2:8]
    if type(value(size)) is not int or type(value(flags)) is not int:
        return None
    item, expected = _of_code(code), -1
    if code[0] in "SVU":
        expected, inner = item.size, _inner(subarray, names, fields, known, depth)
        if inner is None or inner.size > item.size or (code[0] != "V" and inner.size):
            return None
        item = ItemType(item.size, inner.has_objects)
    elif not all(map(_is_none, (subarray, names, fields))):
        return None
    are_flags = _are_flags(value(flags), code, item, is_subarray=not _is_none(subarray))
    return item if value(size) == expected and are_flags and (depth or _is_none(subarray)) else None


def _are_flags(flags: int, code: str, item: ItemType, is_subarray: bool) -> bool:
    """Whether numpy gives these flags to such a dtype; numpy 1 wrote a signed byte."""
    if -128 <= flags < 0:
        flags += 256
    if code[0] == "O":
        return flags == OBJECT_FLAGS
    most = STRUCTURE_FLAGS | (OBJECT_FLAGS if is_subarray else 0) if code[0] == "V" else PLAIN_FLAGS
    return flags | most == most and bool(flags & HAS_OBJECTS) == item.has_objects


def _inner(subarray: Node, names: Node, fields: Node, known: Known, depth: int) -> ItemType | None:
    """What a structure needs at least: the end of its last field, or a subarray; 0 bytes for plain ones."""
    if isinstance(subarray, Tuple) and len(subarray.parts) == 2 and _is_none(names) and _is_none(fields):
        return _repeated(pickled(plain(subarray.parts[0]), known, depth + 1), literal(plain(subarray.parts[1])))
    if not _is_none(subarray):
        return None
    if _is_none(names) and _is_none(fields):
        return ItemType(0, False)
    if not isinstance(names, Tuple) or not isinstance(fields, Dict):
        return None
    if (id(names), id(fields)) not in known:
        known[id(names), id(fields)] = None
        known[id(names), id(fields)] = _fields(names, fields, known, depth)
    return known[id(names), id(fields)]


def _fields(names: Tuple, fields: Dict, known: Known, depth: int) -> ItemType | None:
    """The end of the last field, and whether any has objects. Every name is that of a field; titles are further names."""
    end, has_objects, keys = 0, False, set[object]()
    for key, field in pairs(fields):
        keys.add(text(key))
        parts = [plain(part) for part in field.parts[:3]] if isinstance(field, Tuple) else []
        item = pickled(parts[0], known, depth + 1) if len(parts) > 1 else None
        offset = value(parts[1]) if item else None
        if item is None or not isinstance(offset, int) or offset < 0 or None in keys:
            return None
        end, has_objects = max(end, offset + item.size), has_objects or item.has_objects
    return ItemType(end, has_objects) if all(text(plain(name)) in keys for name in names.parts) else None


def _code(dtype: Node, size: Any) -> str | None:
    """The type code of `numpy.dtype(code, False, True)`. Without a copy, the state would change a type of numpy itself. For an
    array of records it is the class, and the size is in the state only.
    """
    given = dtype.arguments if isinstance(dtype, Call) and dtype.path == "numpy.dtype" and dtype.op == "REDUCE" else []
    if len(given) != 3 or [value(plain(argument)) for argument in given[1:]] != [0, 1]:
        return None
    code = plain(given[0])
    return f"V{size}" if isinstance(code, Global) and code.path == "numpy.record" else value(code) if text(code) else None


def _state(dtype: Node) -> list[Node] | None:
    """The items of the only state."""
    built = [plain(step.items[0]) for step in dtype.steps if step.op == "BUILD"]
    is_state = len(built) == 1 and isinstance(built[0], Tuple) and len(built[0].parts) in STATES
    parts = [plain(part) for part in built[0].parts] if is_state else []
    is_known = is_state and value(parts[0]) in (3, 4) and value(parts[1]) in ("<", ">", "|", "=")
    return parts if is_known else None


def _is_none(node: Node) -> bool:
    return isinstance(node, Atom) and node.op == "NONE"


def value(node: Node) -> Any:
    """The value of an atom; None for any other node."""
    return node.value if isinstance(node, Atom) else None


def literal(node: Node) -> Any:
    """A number, or a short tuple of atoms; None for any other node."""
    if not isinstance(node, Tuple):
        return value(node)
    return tuple(value(plain(part)) for part in node.parts) if len(node.parts) <= MOST_DIMENSIONS else None
