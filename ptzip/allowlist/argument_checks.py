"""What an allowed function may be called with: each check looks at argument nodes and says what is wrong with them, or "".

A check covers only what a loader would do with the arguments themselves: allocate a huge object, or call what it is given.
Names and calls among the arguments are judged on their own, by their own rows of the allow list.
"""

import math
import re
from collections.abc import Callable, Sequence
from itertools import islice

from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Tuple, item_slots, pairs, plain, text, walk_unordered
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import REBUILDS, SUBCLASSES

Arguments = Sequence[Node]
ArgumentCheck = Callable[[Arguments], str]
StateCheck = Callable[[Arguments, Node], str]
"""What is wrong with a state that BUILD sets, given the arguments of the call that it belongs to."""

MOST_BYTES = 1 << 20
"""The most bytes that a size in the file may allocate."""

NUMERIC_DTYPE = r"[<>|=]?[?bhilqBHILQefdgFDGiucSUVmM]\d*\Z"
OBJECT_DTYPE = r"[|]?O\d*\Z"
"""Codes of dtypes. They are compiled when first used, since most files have no numpy array."""

OBJECT_FLAGS = 3
"""NPY_ITEM_REFCOUNT and NPY_LIST_PICKLE (numpy's `ndarraytypes.h`), set for every dtype that contains objects."""

PACKED_CLASSES = frozenset(
    (
        "__torch__.torch.classes.quantized.LinearPackedParamsBase",
        *(f"__torch__.torch.classes.quantized.Conv{dims}dPackedParamsBase" for dims in (2, 3)),
        *(f"__torch__.torch.classes.quantized.Embedding{kind}PackedParamsBase" for kind in ("", "Bag")),
        "__torch__.torch.classes.sparse.LinearPackedParamsBase",
        "__torch__.torch.classes.rnn.CellParamsBase",
    )
)
"""The classes of C++ that quantized layers keep their weights in (`aten/src/ATen/native/quantized/library.cpp`)."""

MOST_LAYERS = 10_000

MOST_STATE_NODES = 10_000
"""The most nodes of a dtype's state that are looked at."""

LATIN1 = frozenset({"latin1", "latin-1", "iso-8859-1"})
ENCODINGS = LATIN1 | {"ascii", "utf-8", "utf8", "raw-unicode-escape", "raw_unicode_escape"}
"""Encodings in which protocols 0 to 2 store bytes as text; others of Python compress or look up tables."""

BUILTINS = ("builtins", "__builtin__")
RANGES = frozenset({"builtins.range", "__builtin__.xrange", "__builtin__.range"})

FACTORIES = frozenset(
    {
        *(f"{module}.{name}" for module in BUILTINS for name in ("list", "dict", "set", "tuple", "frozenset")),
        *(f"{module}.{name}" for module in BUILTINS for name in ("int", "float", "str", "bool", "complex")),
        *("collections.OrderedDict", "collections.Counter", "collections.deque", "collections.defaultdict"),
        *("__builtin__.long", "__builtin__.unicode"),
        *(f"torch.{module}.grad_scaler._refresh_per_optimizer_state" for module in ("amp", "cuda.amp")),
    }
)
"""What a defaultdict may create values with: empty containers, zeros, and a dict of the state of a GradScaler."""

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
NUMPY_RANDOM = frozenset(
    (
        *(f"numpy.random._pickle.__{name}_ctor" for name in ("bit_generator", "generator", "randomstate")),
        *(f"numpy.random._{name.lower()}.{name}" for name in BIT_GENERATORS),
        *("numpy.random._pcg64.PCG64DXSM", "numpy.random.bit_generator.__pyx_unpickle_SeedSequence"),
    )
)
"""What the states of numpy's generators consist of."""

TENSOR_FUNCTIONS = REBUILDS - SUBCLASSES


def any_arguments(_: Arguments) -> str:
    return ""


def no_arguments(arguments: Arguments) -> str:
    """A class that is instantiated empty and gets its state from BUILD; its constructor would take sizes."""
    return "with arguments, which its pickles do not have" if arguments else ""


def no_range(arguments: Arguments) -> str:
    """A container: what it iterates over must be in the file, since a range of 2**40 would fill the memory."""
    is_range = any(isinstance(node, Call) and node.path in RANGES for node in map(plain, arguments))
    return "with a range, which would fill the memory" if is_range else ""


def no_size(arguments: Arguments) -> str:
    """bytes and bytearray allocate as many bytes as a number says."""
    return "with a number as size" if any(_integer(node) > MOST_BYTES for node in arguments) else no_range(arguments)


def plain_values(arguments: Arguments) -> str:
    """Numbers and strings that are in the file themselves."""
    return "" if all(isinstance(plain(node), Atom) for node in arguments) else "with an object, expected a plain value"


def one_value(arguments: Arguments) -> str:
    """The value of a member of an enumeration, by which its class looks it up."""
    return plain_values(arguments) if len(arguments) == 1 else "with something other than the value of a member"


def encoded_text(arguments: Arguments) -> str:
    """`_codecs.encode(text, encoding)`, by which protocols 0 to 2 store bytes."""
    values = [text(plain(node)) for node in arguments]
    is_encoded = len(values) == 2 and values[0] is not None and (values[1] or "").lower() in ENCODINGS
    return "" if is_encoded else "with something other than text and a text encoding"


def builtin_factory(arguments: Arguments) -> str:
    """defaultdict calls its first argument."""
    first = plain(arguments[0]) if arguments else None
    if first is None or (isinstance(first, Atom) and first.value is None):
        return ""
    return "" if isinstance(first, Global) and first.path in FACTORIES else "with a factory other than a built-in type"


def literal_bytes(arguments: Arguments) -> str:
    """`torch.storage._load_from_bytes` unpickles its argument, which must be in the file to be examined."""
    first = plain(arguments[0]) if len(arguments) == 1 else None
    if isinstance(first, Atom) and isinstance(first.value, bytes | bytearray):
        return ""
    is_latin1 = (
        isinstance(first, Call)
        and first.path == "_codecs.encode"
        and not encoded_text(first.arguments)
        and (text(plain(first.arguments[1])) or "").lower() in LATIN1
    )
    return "" if is_latin1 else "with bytes that are computed while loading"


def empty_array(arguments: Arguments) -> str:
    """`_reconstruct(ndarray, (0,), b"b")` creates an empty array, whose contents follow in its state."""
    shape = plain(arguments[1]) if len(arguments) > 1 else None
    sizes = [_integer(size) for size in shape.parts] if isinstance(shape, Tuple) else [-1]
    return "with a size" if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_BYTES else ""


def dtype_code(arguments: Arguments) -> str:
    """`numpy.dtype("f4", False, True)`."""
    code = text(plain(arguments[0])) if arguments else None
    is_code = code is not None and re.match(f"{NUMERIC_DTYPE}|{OBJECT_DTYPE}", code)
    return "" if is_code else "with something other than the code of a dtype"


def dtype_state(arguments: Arguments, state: Node) -> str:
    """(version, order, subdtype, names, fields, size, alignment, flags, ...): numpy trusts the flags. A dtype that contains
    objects without the flags for them would take bytes of the file for addresses of objects.
    """
    nodes = list(islice(walk_unordered(state), MOST_STATE_NODES))
    if len(nodes) == MOST_STATE_NODES:
        return "and gives it a state too large to check"
    if not any(re.match(OBJECT_DTYPE, text(plain(node)) or "") for node in (*arguments[:1], *nodes)):
        return ""
    flags = _integer(state.parts[7]) if isinstance(state, Tuple) and len(state.parts) > 7 else -1
    has_object_flags = flags >= 0 and flags & OBJECT_FLAGS == OBJECT_FLAGS
    return "" if has_object_flags else "and gives it a state that denies its objects"


def one_tuple(arguments: Arguments) -> str:
    """A result of torch with named fields: `torch.return_types.max((values, indices), {})`."""
    is_tuple = 1 <= len(arguments) <= 2 and isinstance(plain(arguments[0]), Tuple)
    return "" if is_tuple else "with something other than a tuple"


def looping_state(_: Arguments, state: Node) -> str:
    """The state of an optimizer (`torch/optim/adam.py`, `__setstate__`: for each parameter in each group), a recurrent layer
    (`torch/nn/modules/rnn.py`: for each of `num_layers`) or a device mesh (`torch/distributed/device_mesh.py`: for each name of
    a group). What is looped over must be in the file.
    """
    if not isinstance(state, Dict) or any(not isinstance(key, Atom) for key, _ in pairs(state)):
        return "and gives it a state that is no literal dict"
    if any(text(key) == "num_layers" and not 0 <= _integer(value) <= MOST_LAYERS for key, value in pairs(state)):
        return "and gives it too many layers"
    if any(text(key) == "_dim_group_names" and not isinstance(value, Tuple | List) for key, value in pairs(state)):
        return "and gives it groups that are computed while loading"
    groups = [value for key, value in pairs(state) if text(key) == "param_groups"]
    is_literal = all(isinstance(group, List) and all(_is_group(slot.node) for slot in item_slots(group)) for group in groups)
    return "" if is_literal else "and gives it parameters that are computed while loading"


def _is_group(node: Node) -> bool:
    """A group of parameters: a dict with a list of them."""
    return isinstance(node, Dict) and all(
        isinstance(key, Atom) and (text(key) != "params" or isinstance(value, List)) for key, value in pairs(node)
    )


def one_name(arguments: Arguments) -> str:
    """The function of a `functools.partial`, which is judged where it is named, and as called where the partial is called."""
    is_name = len(arguments) == 1 and _named(arguments[0]) is not None
    return "" if is_name else "with something other than one function or class"


def partial_state(arguments: Arguments, state: Node) -> str:
    """(function, arguments, keyword arguments, attributes): `functools.partial.__setstate__` takes the function from there."""
    parts = list(map(plain, state.parts)) if isinstance(state, Tuple) else []
    is_same = len(parts) == 4 and isinstance(parts[1], Tuple) and isinstance(parts[2], Dict) and _same_name(parts[0], arguments)
    is_bare = is_same and isinstance(parts[3], Atom) and parts[3].value is None
    return "" if is_bare else "and gives it another function, or attributes"


def _same_name(node: Node, arguments: Arguments) -> bool:
    name, first = _named(node), _named(arguments[0]) if arguments else None
    return name is not None and first is not None and name.path == first.path


def _named(node: Node) -> Global | None:
    """A name, also with its source, as torch.save of the legacy format stores classes."""
    found = plain(node)
    return found if isinstance(found, Global) else class_ref(found)


def torchbind_state(_: Arguments, state: Node) -> str:
    """(state, class): `torch.ScriptObject.__setstate__` looks the class up in torch and gives it the state. Those of quantized
    layers pack tensors.
    """
    path = text(plain(state.parts[1])) if isinstance(state, Tuple) and len(state.parts) == 2 else None
    return "" if path in PACKED_CLASSES else "and makes it an object of a class that does not hold the weights of a layer"


def numeric_buffer(arguments: Arguments) -> str:
    """`_frombuffer(bytes, dtype, shape, order)` takes bytes as elements, which must not be addresses of objects."""
    dtype = plain(arguments[1]) if len(arguments) > 1 else None
    calls = [node for node in walk_unordered(dtype) if isinstance(node, Call)] if isinstance(dtype, Call) else []
    codes = [text(plain(call.arguments[0])) if call.path == "numpy.dtype" and call.arguments else None for call in calls]
    is_numeric = bool(codes) and all(code is not None and re.match(NUMERIC_DTYPE, code) for code in codes)
    return "" if is_numeric else "with a dtype that is not plainly numeric"


def tensor_function(arguments: Arguments) -> str:
    """`_rebuild_from_type_v2` calls its first argument."""
    first = plain(arguments[0]) if arguments else None
    is_known = isinstance(first, Global) and first.path in TENSOR_FUNCTIONS
    return "" if is_known else "with a function that rebuilds no tensor"


def numpy_random(arguments: Arguments) -> str:
    """The constructors of numpy's generators call their second argument with the first."""
    paths = {node.path for node in map(plain, arguments) if isinstance(node, Global | Call)}
    return "" if paths <= NUMPY_RANDOM else "with a function that is not of numpy.random"


def _integer(node: Node) -> int:
    """An integer that is in the file itself; -1 for anything else."""
    value = found.value if isinstance(found := plain(node), Atom) else None
    return value if isinstance(value, int) else -1
