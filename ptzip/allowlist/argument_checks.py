"""What an allowed call may be given: one function for each shape of arguments, which says what is wrong, or "".

Rule: only what a loader would do with the arguments is asked here: make something huge, or call what it is given. The
arguments themselves are names and calls of the same pickle, and are judged on their own.
"""

import math
import re
from collections.abc import Callable
from itertools import islice

from ptzip.pickling.nodes import Atom, Call, Global, Node, Tuple, plain, text, walk_unordered

Shape = Callable[[Call], str]

MOST_BYTES = 1 << 20
"""Numbers that ask for memory may ask for so many bytes without having them in the file."""

PLAIN_DTYPE = re.compile(r"[<>|=]?[?bhilqBHILQefdgFDGiucSUVmM]\d*\Z")

OBJECTS = re.compile(r"[|]?O\d*\Z")
HAS_OBJECTS = 3
"""NPY_ITEM_REFCOUNT and NPY_LIST_PICKLE (numpy's `ndarraytypes.h`), which each dtype with objects has."""

MOST_PARTS = 10_000
"""So much of the state of a dtype is looked at."""

ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "ascii", "utf-8", "utf8", "raw-unicode-escape", "raw_unicode_escape"})
"""What pickles of protocol 0 to 2 spell bytes in; others compress or run through tables."""

RANGES = frozenset({"builtins.range", "__builtin__.xrange", "__builtin__.range"})

FACTORIES = frozenset(
    {
        *(f"{home}.{name}" for home in ("builtins", "__builtin__") for name in ("list", "dict", "set", "tuple", "frozenset")),
        *(f"{home}.{name}" for home in ("builtins", "__builtin__") for name in ("int", "float", "str", "bool", "complex")),
        *("collections.OrderedDict", "collections.Counter", "collections.deque", "collections.defaultdict"),
    }
)
"""What a defaultdict makes new values with: empty containers and zeros."""


REBUILDERS = frozenset(
    f"torch._utils._rebuild_{name}"
    for name in (
        *("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state", "sparse_tensor", "sparse_csr_tensor"),
        *("qtensor", "nested_tensor", "meta_tensor_no_storage", "wrapper_subclass", "xla_tensor"),
        *("device_tensor_from_numpy", "device_tensor_from_cpu_tensor"),
    )
)
"""The functions that make a tensor (`torch/_utils.py`)."""

JAGGED = "torch.nested._internal.nested_tensor._rebuild_njt"


def anything(_: Call) -> str:
    return ""


def nothing(call: Call) -> str:
    """A class whose object is described later; its constructor would take sizes."""
    return "with arguments, which its pickles do not have" if call.arguments else ""


def contained(call: Call) -> str:
    """What is iterated must be in the file: a range of 2**40 would fill the memory."""
    return "with a range, which it would fill the memory with" if any(map(_is_range, call.arguments)) else ""


def sized(call: Call) -> str:
    """bytes and bytearray take a number for a size."""
    return "with a number for a size" if any(_is_large(argument) for argument in call.arguments) else contained(call)


def plainly(call: Call) -> str:
    """Numbers and texts of a plain value."""
    return "" if all(isinstance(plain(argument), Atom) for argument in call.arguments) else "with an object, expected a value"


def encoded(call: Call) -> str:
    """`_codecs.encode(text, encoding)`, which is how protocols below 3 spell bytes."""
    given = [plain(argument) for argument in call.arguments]
    encoding = (text(given[1]) if len(given) == 2 else "") or ""
    is_text = bool(given) and text(given[0]) is not None
    return "" if is_text and encoding.lower() in ENCODINGS else "with something other than text and a text encoding"


def factory(call: Call) -> str:
    """defaultdict calls its first argument."""
    first = plain(call.arguments[0]) if call.arguments else None
    if first is None or (isinstance(first, Atom) and first.value is None):
        return ""
    return "" if isinstance(first, Global) and first.path in FACTORIES else "with a factory that is no type of Python"


def byte_stream(call: Call) -> str:
    """`torch.storage._load_from_bytes` loads its argument, which has to be there to be looked at."""
    first = plain(call.arguments[0]) if len(call.arguments) == 1 else None
    if isinstance(first, Atom) and isinstance(first.value, bytes | bytearray):
        return ""
    is_encoded = isinstance(first, Call) and first.path == "_codecs.encode" and not encoded(first) and _is_latin1(first)
    return "" if is_encoded else "with bytes that are made while loading"


def small_array(call: Call) -> str:
    """`_reconstruct(ndarray, (0,), b"b")` makes an empty array, whose state follows."""
    sizes = plain(call.arguments[1]) if len(call.arguments) > 1 else None
    numbers = [_number(size) for size in sizes.parts] if isinstance(sizes, Tuple) else [-1]
    return "with a size" if min(numbers, default=0) < 0 or math.prod(numbers) > MOST_BYTES else ""


def dtype(call: Call) -> str:
    """numpy believes the flags of a state: objects that they deny would be made of bytes of the file, as addresses."""
    code = text(plain(call.arguments[0])) if call.arguments else None
    if code is None or not (PLAIN_DTYPE.match(code) or OBJECTS.match(code)):
        return "with something other than the code of a dtype"
    for state in (plain(step.items[0]) for step in call.steps if step.op == "BUILD"):
        parts = list(islice(walk_unordered(state), MOST_PARTS))
        has_objects = OBJECTS.match(code) or any(OBJECTS.match(text(part) or "") for part in parts)
        flags = _number(state.parts[7]) if isinstance(state, Tuple) and len(state.parts) > 7 else -1
        if (has_objects and (flags < 0 or flags & HAS_OBJECTS != HAS_OBJECTS)) or len(parts) == MOST_PARTS:
            return "and gives it a state that denies its objects"
    return ""


def plain_array(call: Call) -> str:
    """`_frombuffer(bytes, dtype, shape, order)` takes bytes for elements, which must not be addresses of objects."""
    kind = plain(call.arguments[1]) if len(call.arguments) > 1 else None
    made = [node for node in walk_unordered(kind) if isinstance(node, Call)] if isinstance(kind, Call) else []
    codes = [text(plain(node.arguments[0])) if node.path == "numpy.dtype" and node.arguments else None for node in made]
    is_plain = bool(codes) and all(code is not None and PLAIN_DTYPE.match(code) for code in codes)
    return "" if is_plain else "with a dtype that is not plainly one of numbers"


def rebuilding(call: Call) -> str:
    """`_rebuild_from_type_v2` calls its first argument."""
    first = plain(call.arguments[0]) if call.arguments else None
    is_known = isinstance(first, Global) and (first.path in REBUILDERS or first.path == JAGGED)
    return "" if is_known else "with a function that rebuilds no tensor"


def bit_generator(call: Call) -> str:
    """The constructors of numpy's random states call their second argument with the first."""
    given = [plain(argument) for argument in call.arguments]
    paths = [node.path for node in given if isinstance(node, Global | Call)]
    return "" if set(paths) <= RANDOM else "with a function that is none of numpy.random"


RANDOM = frozenset(
    (
        *(f"numpy.random._pickle.__{name}_ctor" for name in ("bit_generator", "generator", "randomstate")),
        *(f"numpy.random._{name.lower()}.{name}" for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")),
        *("numpy.random._pcg64.PCG64DXSM", "numpy.random.bit_generator.__pyx_unpickle_SeedSequence"),
    )
)
"""What the states of numpy's generators are made of."""


def _number(node: Node) -> int:
    """A size that stands in the file; -1 for anything else."""
    found = plain(node)
    return found.value if isinstance(found, Atom) and isinstance(found.value, int) else -1


def _is_latin1(call: Call) -> bool:
    return (text(plain(call.arguments[1])) or "").lower() in ("latin1", "latin-1", "iso-8859-1")


def _is_range(node: Node) -> bool:
    found = plain(node)
    return isinstance(found, Call) and found.path in RANGES


def _is_large(node: Node) -> bool:
    found = plain(node)
    return isinstance(found, Atom) and isinstance(found.value, int) and found.value > MOST_BYTES
