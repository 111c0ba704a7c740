"""What numpy's arrays, scalars, dtypes and random generators may be made of.

numpy believes what a pickle says of a dtype (`numpy/_core/src/multiarray/descriptor.c`, `arraydescr_setstate`): flags that deny
its objects, a field beyond its size, or a state that changes it while arrays use it, and it takes bytes of the file for
addresses. Such a fault is a `MemoryFault`.
"""

import math
import re
from itertools import islice
from typing import NamedTuple

from ptzip.allowlist.signatures import Arguments, Context, MemoryFault, integer, takes, word
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Detour,
    Dict,
    Global,
    List,
    Node,
    Tuple,
    item_slots,
    lookup,
    pairs,
    plain,
    text,
    walk_unordered,
)
from ptzip.tensors.dtypes import JOBLIB_WRAPPERS, STRING_DTYPE
from ptzip.tensors.references import MOST_DIMENSIONS

CODE = r"[<>|=]?([?bhilqBHILQefdgFDGiucSUVmMO])(\d{0,9})\Z"
"""Codes of dtypes. They are compiled when first used, since most files have no numpy array."""

SIZES = dict(zip("?bhilqBHILQefdgFDGmMO", (1, 1, 2, 4, 8, 8, 1, 2, 4, 8, 8, 2, 4, 8, 16, 8, 16, 32, 8, 8, 8), strict=True))

REFCOUNT_AND_LIST, POINTERS = 3, 7
"""NPY_ITEM_REFCOUNT | NPY_LIST_PICKLE of every dtype that contains objects, and NPY_ITEM_IS_POINTER (`ndarraytypes.h`)."""

LEAST_FLAGS = -128
"""numpy 1 writes the flags of an aligned structure as a signed byte; -1 is no number that it writes."""

MOST_METADATA = 1000
MOST_EMPTY = 1 << 20
"""The most elements of an array whose elements have no bytes."""

MOST_BYTES = 1 << 20
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")

NUMPY_RANDOM = frozenset(
    (
        *(f"numpy.random._pickle.__{name}_ctor" for name in ("bit_generator", "generator", "randomstate")),
        *(f"numpy.random._{name.lower()}.{name}" for name in BIT_GENERATORS),
        *("numpy.random._pcg64.PCG64DXSM", "numpy.random.bit_generator.__pyx_unpickle_SeedSequence"),
    )
)
"""What the states of numpy's generators consist of."""

MT_POSITIONS, PHILOX_POSITIONS = 624, 4
"""The most numbers that a generator keeps: numpy does not check a position among them."""


class DtypeFacts(NamedTuple):
    """What is known of a dtype: the bytes of an element, whether that contains objects, and what is wrong with it."""

    size: int = 0
    has_objects: bool = False
    fault: str = ""


RECORDS = frozenset(f"{module}.record" for module in ("numpy", "numpy.rec", "numpy.core.records"))
"""The class of the elements of a record array, which numpy writes in place of the code of their dtype."""

STRINGS = DtypeFacts(16, has_objects=True)
"""`StringDType`: elements of 16 bytes with addresses of texts."""

MASKED = frozenset(f"numpy.{module}MaskedArray" for module in ("ma.", "ma.core."))

NO_DTYPE = DtypeFacts(fault="with something other than a dtype of the file")


def dtype_code(judge: Context, arguments: Arguments) -> str:
    """`numpy.dtype("f4", False, True)`."""
    is_code = bool(arguments) and _kind_and_digits(arguments[0]) is not None
    return _DTYPE(judge, arguments) if is_code else "with something other than the code of a dtype"


_DTYPE = takes("text|name bool|int? bool|int?")


def _kind_and_digits(code: Node) -> tuple[str, str] | None:
    """The parts of the code of a dtype; a record has none, and is as large as its state says."""
    found = plain(code)
    if isinstance(found, Global):
        return ("V", "") if found.path in RECORDS else None
    match = re.match(CODE, word(found))
    return (match[1], match[2]) if match else None


def dtype_state(judge: Context, node: Node, state: Node) -> str:
    """The one state of a dtype."""
    return judge.once(_dtype, node, NO_DTYPE).fault


def dtype_of(judge: Context, node: Node | None) -> DtypeFacts:
    """What is known of a dtype among arguments."""
    found = plain(node) if node is not None else None
    if not isinstance(found, Call):
        return NO_DTYPE
    if found.path == STRING_DTYPE:
        return STRINGS
    return judge.once(_dtype, found, NO_DTYPE) if found.path == "numpy.dtype" else NO_DTYPE


def _dtype(judge: Context, call: Node) -> DtypeFacts:
    arguments = call.arguments if isinstance(call, Call) else []
    code = _kind_and_digits(arguments[0]) if arguments else None
    if code is None:
        return NO_DTYPE
    kind, digits = code
    states = [step.items[0] for step in call.steps if step.op == "BUILD"]
    is_record = isinstance(plain(arguments[0]), Global)
    count = max(0, _size_in(states)) if is_record else int(digits or 0)
    size = count * (4 if kind == "U" else 1) if kind in "SUV" else count or SIZES.get(kind, 1)
    if not states:
        return DtypeFacts(size, kind == "O")
    if judge.discards:
        return DtypeFacts(fault=MemoryFault("and sets a state after it may have been used by values that are discarded"))
    fault, has_objects = _state_fault(judge, kind, size, states[0])
    return DtypeFacts(size, has_objects, MemoryFault(fault) if fault else "")


def _size_in(states: list[Node]) -> int:
    """The bytes of an element by the state of its dtype."""
    first = states[0] if states else None
    return integer(first.parts[5]) if isinstance(first, Tuple) and len(first.parts) > 5 else 0


def _state_fault(judge: Context, kind: str, size: int, state: Node) -> tuple[str, bool]:
    """What is wrong with (version, order, subdtype, names, fields, size, alignment, flags[, metadata]), and whether the dtype
    has objects.
    """
    parts = state.parts if isinstance(state, Tuple) else []
    if len(parts) not in (8, 9) or integer(parts[0]) not in (3, 4) or any(isinstance(part, Detour) for part in parts):
        return "and sets a state that numpy does not write", True
    _, _, subtype, names, fields, itemsize, _, flags = parts[:8]
    inner = [*_base(judge, subtype), *_fields(judge, names, fields)]
    if inner and kind != "V":
        return "and gives it the parts of another dtype", True
    if kind in "SUV" and integer(itemsize) != size:
        return "and gives it another size", True
    if any(dtype.fault or offset < 0 or offset + dtype.size > size for dtype, offset in inner):
        return "and gives it parts that do not fit into it", True
    has_objects = kind == "O" or any(dtype.has_objects for dtype, _ in inner)
    given = integer(flags)
    if (
        given < LEAST_FLAGS
        or given == -1
        or given & (REFCOUNT_AND_LIST if has_objects else POINTERS) != (REFCOUNT_AND_LIST if has_objects else 0)
    ):
        return f"and gives it a state that denies its objects{'' if has_objects else ', or claims some'}", has_objects
    if any(_is_computed(judge, part) for part in parts[8:]):
        return "and gives it metadata that are computed while loading", has_objects
    return "", has_objects


def _base(judge: Context, subtype: Node) -> list[tuple[DtypeFacts, int]]:
    """The element of a subarray, as a part as large as all of them."""
    found = plain(subtype)
    if isinstance(found, Atom) and found.value is None:
        return []
    count = shape_count(judge, found.parts[1]) if isinstance(found, Tuple) and len(found.parts) == 2 else -1
    base = dtype_of(judge, found.parts[0]) if count >= 0 else NO_DTYPE
    return [(base._replace(size=base.size * count), 0)]


def _fields(judge: Context, names: Node, fields: Node) -> list[tuple[DtypeFacts, int]]:
    """Every field, with its offset; numpy looks each of the names up, and takes it for granted that it is there."""
    found = plain(fields)
    if isinstance(found, Atom) and found.value is None and isinstance(plain(names), Atom):
        return []
    order = plain(names)
    if not isinstance(found, Dict) or not isinstance(order, Tuple):
        return [(NO_DTYPE, 0)]
    if not {text(key) for key, _ in pairs(found)} >= {text(plain(name)) for name in order.parts}:
        return [(NO_DTYPE, 0)]
    values = [value for _, value in pairs(found)]
    if not all(isinstance(value, Tuple) and len(value.parts) in (2, 3) for value in values):
        return [(NO_DTYPE, 0)]
    return [(dtype_of(judge, value.parts[0]), integer(value.parts[1])) for value in values]


def _is_computed(judge: Context, metadata: Node) -> bool:
    nodes = list(islice(walk_unordered(metadata), MOST_METADATA))
    return len(nodes) == MOST_METADATA or any(
        isinstance(node, Detour) or (isinstance(node, Call) and judge.kind(node) != "bytes") for node in nodes
    )


def shape_count(judge: Context, node: Node) -> int:
    """The number of elements of a shape, exact however large; -1 for anything that is no shape."""
    found = plain(node)
    if isinstance(found, Atom):
        return integer(found)
    if not isinstance(found, Tuple) or len(found.parts) > MOST_DIMENSIONS:
        return -1
    sizes = [integer(part) for part in found.parts]
    return math.prod(sizes) if min(sizes, default=0) >= 0 else -1


def empty_array(judge: Context, arguments: Arguments) -> str:
    """`_reconstruct(ndarray, (0,), b"b")` creates an empty array, whose contents follow in its state."""
    if wrong := _RECONSTRUCT(judge, arguments):
        return wrong
    return "" if shape_count(judge, arguments[1]) == 0 else "with a size"


_RECONSTRUCT = takes("name tuple bytes|text")


def array_state(judge: Context, node: Node, state: Node) -> str:
    """([version,] shape, dtype, is_fortran, data): the data must be as long as the shape says."""
    parts = state.parts if isinstance(state, Tuple) else []
    if len(parts) not in (4, 5) or any(isinstance(part, Detour) for part in parts):
        return MemoryFault("and sets a state that numpy does not write")
    shape, dtype, _, data = parts[-4:]
    return _fault_of_data(judge, dtype, shape_count(judge, shape), plain(data))


def masked_array(judge: Context, arguments: Arguments) -> str:
    """`_mareconstruct(MaskedArray, ndarray, (0,), "b")` creates an empty array, whose contents follow in its state."""
    if wrong := _MASKED_ARRAY(judge, arguments):
        return wrong
    cls, base = map(plain, arguments[:2])
    is_known = isinstance(cls, Global) and cls.path in MASKED and isinstance(base, Global) and base.path == "numpy.ndarray"
    return "" if is_known and shape_count(judge, arguments[2]) == 0 else "with other classes, or a size"


_MASKED_ARRAY = takes("name name tuple bytes|text")


def masked_state(judge: Context, node: Node, state: Node) -> str:
    """(version, shape, dtype, is_fortran, data, mask, fill value): `MaskedArray.__setstate__` makes an array of the last."""
    parts = state.parts if isinstance(state, Tuple) else []
    if len(parts) != 7 or any(isinstance(part, Detour) for part in parts):
        return MemoryFault("and sets a state that numpy does not write")
    _, shape, dtype, _, data, mask, fill = parts
    if wrong := _fault_of_data(judge, dtype, shape_count(judge, shape), plain(data)):
        return wrong
    if judge.kind(mask) not in ("bytes", "text", "long-text") or dtype_of(judge, dtype).size > MOST_BYTES:
        return "and gives it a mask that is not in the file"
    return "" if _is_one_value(plain(fill)) else "and fills it with more than one value"


def _is_one_value(node: Node) -> bool:
    """None, a number, a text, or an array without dimensions."""
    shape = _shape_of(node)
    if shape is not None:
        return isinstance(shape, Tuple) and not shape.parts
    return isinstance(node, Atom) or (isinstance(node, Call) and node.path in SCALARS)


def _shape_of(node: Node | None) -> Node | None:
    """The shape of an array among the values of a state; joblib writes a wrapper, whose array follows the pickle."""
    if not isinstance(node, Call):
        return None
    if node.path.endswith("._frombuffer"):
        return plain(node.arguments[2]) if len(node.arguments) > 2 else None
    state = next((plain(step.items[0]) for step in node.steps if step.op == "BUILD"), None)
    if isinstance(state, Tuple):
        return plain(state.parts[-4]) if len(state.parts) in (4, 5) else None
    return lookup(state, "shape") if isinstance(state, Dict) and node.path in JOBLIB_WRAPPERS else None


def _fault_of_data(judge: Context, dtype: Node, count: int, data: Node) -> str:
    known = dtype_of(judge, dtype)
    if known.fault:
        return known.fault
    if known.has_objects:
        length = judge.once(_items, data, 0) if isinstance(data, List) else -1
        if known is STRINGS and isinstance(data, List) and not judge.once(_has_texts, data, otherwise=False):
            return "and gives it something other than texts, which it would make texts of"
        return "" if 0 <= count <= length else MemoryFault("and gives it other objects than its shape has")
    if judge.kind(data) not in ("bytes", "text", "long-text"):
        return "and gives it data that are not in the file"
    length = judge.once(_bytes, data, 0)
    is_fit = count >= 0 and count * known.size <= length and (known.size or count <= MOST_EMPTY)
    return "" if is_fit else "and gives it less data than its shape has"


def _items(_: Context, node: Node) -> int:
    return sum(1 for _ in item_slots(node))


def _has_texts(_: Context, node: Node) -> bool:
    return all(isinstance(plain(slot.node), Atom | Global) for slot in item_slots(node))


def _bytes(judge: Context, node: Node) -> int:
    """At least as many bytes as a value has."""
    if isinstance(node, Atom):
        if node.op == "NEXT_BUFFER":
            return MOST_BYTES
        return len(node.arg) * (4 if isinstance(node.arg, str) else 1)
    return judge.once(_bytes, plain(node.arguments[0]), 0) if isinstance(node, Call) and node.arguments else 0


def scalar(judge: Context, arguments: Arguments) -> str:
    """`scalar(dtype, data)`: without data it allocates as many zeros as the dtype says."""
    if len(arguments) != 2:
        return "without its data"
    dtype, kind = dtype_of(judge, arguments[0]), judge.kind(arguments[1])
    if dtype.fault:
        return dtype.fault
    code = word(plain(arguments[0]).arguments[0])  # type: ignore[attr-defined]  # a dtype without fault is a call
    if dtype.has_objects:
        is_fit = "O" in code or kind == "array"
        return "" if is_fit else MemoryFault("with bytes in place of objects")
    return "" if kind in ("bytes", "text", "long-text") else "with data that are not in the file"


def numeric_buffer(judge: Context, arguments: Arguments) -> str:
    """`_frombuffer(bytes, dtype, shape, order[, axes])` takes bytes as elements, which must not be addresses of objects."""
    if wrong := _BUFFER(judge, arguments):
        return wrong
    dtype = dtype_of(judge, arguments[1])
    if dtype.fault:
        return dtype.fault
    if dtype.has_objects:
        return MemoryFault("with bytes in place of objects")
    return _fault_of_data(judge, arguments[1], shape_count(judge, arguments[2]), plain(arguments[0]))


_BUFFER = takes("bytes|long-text|text|bytearray dtype tuple|int text? none|tuple?")


def numpy_random(judge: Context, arguments: Arguments) -> str:
    """The constructors of numpy's generators call their second argument with the first."""
    if len(arguments) > 2:
        return "with too many arguments"
    for node in map(plain, arguments):
        if isinstance(node, Global | Call):
            if node.path not in NUMPY_RANDOM:
                return "with a function that is not of numpy.random"
        elif not word(node):
            return "with something other than the name of a generator"
    return ""


def random_state(judge: Context, node: Node, state: Node) -> str:
    """A dict, (dict, seed sequence), or the tuple of an old RandomState: numpy checks no position in a buffer."""
    if isinstance(state, Tuple) and state.parts and not word(state.parts[0]):
        state = plain(state.parts[0])
    return judge.once(_position_fault, state, "")


def _position_fault(_: Context, state: Node) -> str:
    if isinstance(state, Tuple):
        position, buffered = (state.parts[2] if len(state.parts) > 2 else None), None
    elif isinstance(state, Dict):
        position, buffered = lookup(lookup(state, "state"), "pos"), lookup(state, "buffer_pos")
    else:
        is_none = isinstance(state, Atom) and state.value is None
        return "" if is_none else "and sets a state that numpy does not write"
    limits = ((position, MT_POSITIONS), (buffered, PHILOX_POSITIONS))
    is_outside = any(at is not None and not 0 <= integer(at) <= most for at, most in limits)
    return MemoryFault("and gives it a position outside its buffer") if is_outside else ""


def seed_state(judge: Context, node: Node, state: Node) -> str:
    """(entropy, children spawned, pool, size of the pool, key): numpy takes the size of the pool from the file."""
    parts = state.parts if isinstance(state, Tuple) else []
    pool = plain(parts[2]) if len(parts) == 5 else None
    shape = _shape_of(pool)
    is_fit = shape is not None and 0 <= integer(parts[3]) <= shape_count(judge, shape)
    return "" if is_fit else MemoryFault("and sets a state that numpy does not write")
