"""What numpy's arrays, scalars, dtypes and random generators may be made of.

numpy believes what a pickle says of a dtype (`numpy/_core/src/multiarray/descriptor.c`, `arraydescr_setstate`): flags that deny
its objects, a field beyond its size, or a state that changes it while arrays use it, and it takes bytes of the file for
addresses. Such a fault is a `MemoryFault`.
"""

import math
import re
from itertools import islice
from typing import NamedTuple

from ptzip.allowlist.argument_checks import MOST_DIMENSIONS, Arguments, Judge, MemoryFault, integer, takes, word
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
    walk_unordered,
)

CODE = r"[<>|=]?([?bhilqBHILQefdgFDGiucSUVmMO])(\d{0,9})\Z"
"""Codes of dtypes. They are compiled when first used, since most files have no numpy array."""

SIZES = dict(zip("?bhilqBHILQefdgFDGmMO", (1, 1, 2, 4, 8, 8, 1, 2, 4, 8, 8, 2, 4, 8, 16, 8, 16, 32, 8, 8, 8), strict=True))

REFCOUNT_AND_LIST, POINTERS = 3, 7
"""NPY_ITEM_REFCOUNT | NPY_LIST_PICKLE of every dtype that contains objects, and NPY_ITEM_IS_POINTER (`ndarraytypes.h`)."""

MOST_METADATA = 1000
MOST_EMPTY = 1 << 20
"""The most elements of an array whose elements have no bytes."""

MOST_BYTES = 1 << 20
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
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


class Dtype(NamedTuple):
    """What is known of a dtype: the bytes of an element, whether that contains objects, and what is wrong with it."""

    size: int = 0
    has_objects: bool = False
    fault: str = ""


NO_DTYPE = Dtype(fault="with something other than a dtype of the file")


def dtype_code(judge: Judge, arguments: Arguments) -> str:
    """`numpy.dtype("f4", False, True)`."""
    is_code = re.match(CODE, word(arguments[0])) if arguments else None
    return _DTYPE(judge, arguments) if is_code else "with something other than the code of a dtype"


_DTYPE = takes("text bool|int? bool|int?")


def dtype_state(judge: Judge, node: Node, state: Node) -> str:
    """The one state of a dtype."""
    return judge.once(_dtype, node, NO_DTYPE).fault


def dtype_of(judge: Judge, node: Node | None) -> Dtype:
    """What is known of a dtype among arguments."""
    found = plain(node) if node is not None else None
    return judge.once(_dtype, found, NO_DTYPE) if isinstance(found, Call) and found.path == "numpy.dtype" else NO_DTYPE


def _dtype(judge: Judge, call: Node) -> Dtype:
    arguments = call.arguments if isinstance(call, Call) else []
    match = re.match(CODE, word(arguments[0])) if arguments else None
    if match is None:
        return NO_DTYPE
    kind, digits = match.groups()
    count = int(digits or 0)
    size = count * (4 if kind == "U" else 1) if kind in "SUV" else count or SIZES.get(kind, 1)
    states = [step.items[0] for step in call.steps if step.op == "BUILD"]
    if not states:
        return Dtype(size, kind == "O")
    if judge.discards:
        return Dtype(fault=MemoryFault("and sets a state after it may have been used by values that are discarded"))
    fault, has_objects = _state_fault(judge, kind, size, states[0])
    return Dtype(size, has_objects, MemoryFault(fault) if fault else "")


def _state_fault(judge: Judge, kind: str, size: int, state: Node) -> tuple[str, bool]:
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
    if given < 0 or given & (REFCOUNT_AND_LIST if has_objects else POINTERS) != (REFCOUNT_AND_LIST if has_objects else 0):
        return f"and gives it a state that denies its objects{'' if has_objects else ', or claims some'}", has_objects
    if any(_is_computed(judge, part) for part in parts[8:]):
        return "and gives it metadata that are computed while loading", has_objects
    return "", has_objects


def _base(judge: Judge, subtype: Node) -> list[tuple[Dtype, int]]:
    """The element of a subarray, as a part as large as all of them."""
    found = plain(subtype)
    if isinstance(found, Atom) and found.value is None:
        return []
    count = shape_count(judge, found.parts[1]) if isinstance(found, Tuple) and len(found.parts) == 2 else -1
    base = dtype_of(judge, found.parts[0]) if count >= 0 else NO_DTYPE
    return [(base._replace(size=base.size * count), 0)]


def _fields(judge: Judge, names: Node, fields: Node) -> list[tuple[Dtype, int]]:
    """Every field, with its offset; numpy looks fields up by names."""
    found = plain(fields)
    if isinstance(found, Atom) and found.value is None and isinstance(plain(names), Atom):
        return []
    if not isinstance(found, Dict) or not isinstance(plain(names), Tuple):
        return [(NO_DTYPE, 0)]
    values = [value for _, value in pairs(found)]
    if not all(isinstance(value, Tuple) and len(value.parts) in (2, 3) for value in values):
        return [(NO_DTYPE, 0)]
    return [(dtype_of(judge, value.parts[0]), integer(value.parts[1])) for value in values]


def _is_computed(judge: Judge, metadata: Node) -> bool:
    nodes = list(islice(walk_unordered(metadata), MOST_METADATA))
    return len(nodes) == MOST_METADATA or any(
        isinstance(node, Detour) or (isinstance(node, Call) and judge.kind(node) != "bytes") for node in nodes
    )


def shape_count(judge: Judge, node: Node) -> int:
    """The number of elements of a shape, exact however large; -1 for anything that is no shape."""
    found = plain(node)
    if isinstance(found, Atom):
        return integer(found)
    if not isinstance(found, Tuple) or len(found.parts) > MOST_DIMENSIONS:
        return -1
    sizes = [integer(part) for part in found.parts]
    return math.prod(sizes) if min(sizes, default=0) >= 0 else -1


def empty_array(judge: Judge, arguments: Arguments) -> str:
    """`_reconstruct(ndarray, (0,), b"b")` creates an empty array, whose contents follow in its state."""
    if wrong := _RECONSTRUCT(judge, arguments):
        return wrong
    return "" if 0 <= shape_count(judge, arguments[1]) <= MOST_BYTES else "with a size"


_RECONSTRUCT = takes("name tuple bytes|text")


def array_state(judge: Judge, node: Node, state: Node) -> str:
    """([version,] shape, dtype, is_fortran, data): the data must be as long as the shape says."""
    parts = state.parts if isinstance(state, Tuple) else []
    if len(parts) not in (4, 5) or any(isinstance(part, Detour) for part in parts):
        return MemoryFault("and sets a state that numpy does not write")
    shape, dtype, _, data = parts[-4:]
    return _fault_of_data(judge, dtype, shape_count(judge, shape), plain(data))


def _fault_of_data(judge: Judge, dtype: Node, count: int, data: Node) -> str:
    known = dtype_of(judge, dtype)
    if known.fault:
        return known.fault
    if known.has_objects:
        length = judge.once(_items, data, 0) if isinstance(data, List) else -1
        return "" if 0 <= count <= length else MemoryFault("and gives it other objects than its shape has")
    if judge.kind(data) not in ("bytes", "text", "long-text"):
        return "and gives it data that are not in the file"
    length = judge.once(_bytes, data, 0)
    is_fit = count >= 0 and count * known.size <= length and (known.size or count <= MOST_EMPTY)
    return "" if is_fit else "and gives it less data than its shape has"


def _items(_: Judge, node: Node) -> int:
    return sum(1 for _ in item_slots(node))


def _bytes(judge: Judge, node: Node) -> int:
    """At least as many bytes as a value has."""
    if isinstance(node, Atom):
        if node.op == "NEXT_BUFFER":
            return MOST_BYTES
        return len(node.arg) * (4 if isinstance(node.arg, str) else 1)
    return judge.once(_bytes, plain(node.arguments[0]), 0) if isinstance(node, Call) and node.arguments else 0


def scalar(judge: Judge, arguments: Arguments) -> str:
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


def numeric_buffer(judge: Judge, arguments: Arguments) -> str:
    """`_frombuffer(bytes, dtype, shape, order)` takes bytes as elements, which must not be addresses of objects."""
    if wrong := _BUFFER(judge, arguments):
        return wrong
    dtype = dtype_of(judge, arguments[1])
    if dtype.fault:
        return dtype.fault
    if dtype.has_objects:
        return MemoryFault("with bytes in place of objects")
    return _fault_of_data(judge, arguments[1], shape_count(judge, arguments[2]), plain(arguments[0]))


_BUFFER = takes("bytes|long-text|text|bytearray dtype tuple|int text?")


def numpy_random(judge: Judge, arguments: Arguments) -> str:
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


def random_state(judge: Judge, node: Node, state: Node) -> str:
    """A dict, (dict, seed sequence), or the tuple of an old RandomState: numpy checks no position in a buffer."""
    if isinstance(state, Tuple) and state.parts and not word(state.parts[0]):
        state = plain(state.parts[0])
    return judge.once(_position_fault, state, "")


def _position_fault(_: Judge, state: Node) -> str:
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


def seed_state(judge: Judge, node: Node, state: Node) -> str:
    """(entropy, children spawned, pool, size of the pool, key): numpy takes the size of the pool from the file."""
    parts = state.parts if isinstance(state, Tuple) else []
    pool = plain(parts[2]) if len(parts) == 5 else None
    if isinstance(pool, Call) and pool.path.endswith("._frombuffer"):
        shape = pool.arguments[2:3]
    else:
        built = next((step.items[0] for step in pool.steps if step.op == "BUILD"), None) if pool is not None else None
        shape = plain(built).parts[1:2] if built is not None else []
    is_fit = bool(shape) and 0 <= integer(parts[3]) <= shape_count(judge, shape[0])
    return "" if is_fit else MemoryFault("and sets a state that numpy does not write")
