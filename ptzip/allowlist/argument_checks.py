"""What an allowed function may be called with: each check looks at argument nodes and says what is wrong with them, or "".

A check covers what a loader would do with the arguments themselves: allocate a huge object, or call what it is given. Names
and calls among the arguments are judged on their own, by their own rows of the allow list.

Most checks are signatures (`signatures.takes`). The others bound what a signature cannot: sizes, shapes, and what is called.
"""

import math
import re

from ptzip.allowlist.signatures import SHORT_TEXT, Arguments, Context, integer, takes, word
from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Tuple, item_slots, pairs, plain, text
from ptzip.tensors.references import MOST_DIMENSIONS, class_ref, storage_ref, tensor_ref
from ptzip.tensors.strides import element_range
from ptzip.tensors.torch_names import REBUILDS, SUBCLASSES

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

MOST_PER_BYTE = 4
"""The most elements of a quantized tensor in a byte: those of `torch.quint2x4`."""

LATIN1 = frozenset({"latin1", "latin-1", "iso-8859-1"})
ENCODINGS = LATIN1 | {"ascii", "utf-8", "utf8", "raw-unicode-escape", "raw_unicode_escape"}
"""Encodings in which protocols 0 to 2 store bytes as text; others of Python compress or look up tables."""

FRACTION = r"-?\d{1,4000}(/\d{1,4000})?"
DECIMAL = r"-?(\d{1,4000}(\.\d{1,4000})?(E[+-]\d{1,4})?|Infinity|s?NaN\d{0,100})"
"""Numbers as text that are parsed quickly, and whose integers have no more digits than that. Few files have one."""

BUILTINS = ("builtins", "__builtin__")

FACTORIES = frozenset(
    {
        *(f"{module}.{name}" for module in BUILTINS for name in ("list", "dict", "set", "tuple", "frozenset")),
        *(
            f"{module}.{name}"
            for module in BUILTINS
            for name in ("int", "float", "str", "bool", "complex", "bytes", "bytearray")
        ),
        *("collections.OrderedDict", "collections.Counter", "collections.deque", "collections.defaultdict"),
        *("__builtin__.long", "__builtin__.unicode"),
        *(f"torch.{module}.grad_scaler._refresh_per_optimizer_state" for module in ("amp", "cuda.amp")),
    }
)
"""Types that a defaultdict may create values with: empty containers and zeros."""

TENSOR_FUNCTIONS = REBUILDS - SUBCLASSES


any_arguments = takes("any*")
"""Values that the function keeps, or describes a tensor of the file by."""

no_arguments = takes("")
"""A class that is instantiated empty and gets its state from BUILD; its constructor would take sizes."""


def encoded_text(judge: Context, arguments: Arguments) -> str:
    """`_codecs.encode(text, encoding)`, by which protocols 0 to 2 store bytes."""
    return _ENCODED(judge, arguments) or (
        "" if word(arguments[1]).lower() in ENCODINGS else "with an encoding that no pickler uses"
    )


_ENCODED = takes("str text")


def new_bytes(judge: Context, arguments: Arguments) -> str:
    """`bytes(text, encoding)`, or of bytes or numbers in the file; a number alone would be a size."""
    is_text = bool(arguments) and judge.kind(arguments[0]) in ("text", "long-text")
    return encoded_text(judge, arguments) if is_text else _BYTES(judge, arguments)


_BYTES = takes("bytes|items?")


def decimal_number(judge: Context, arguments: Arguments) -> str:
    """`Decimal("1.5")`; a large exponent costs nothing here, and all memory as an integer."""
    is_number = len(arguments) == 1 and re.fullmatch(DECIMAL, word(arguments[0], SHORT_TEXT))
    return "" if is_number else "with something other than the text of a number"


def fraction(judge: Context, arguments: Arguments) -> str:
    """`Fraction("1/3")` or `Fraction(1, 3)`; it would expand the exponent of "1e999999999"."""
    if len(arguments) == 1 and re.fullmatch(FRACTION, word(arguments[0], SHORT_TEXT)):
        return ""
    return _FRACTION(judge, arguments)


_FRACTION = takes("int|long int|long?")


def builtin_factory(judge: Context, arguments: Arguments) -> str:
    """defaultdict calls its first argument."""
    if wrong := _DEFAULTS(judge, arguments):
        return wrong
    first = plain(arguments[0]) if arguments else None
    is_builtin = not isinstance(first, Global) or first.path in FACTORIES
    return "" if is_builtin else "with a factory other than a built-in type"


_DEFAULTS = takes("none|name? items?")


def literal_bytes(judge: Context, arguments: Arguments) -> str:
    """`torch.storage._load_from_bytes` unpickles its argument, which must be in the file to be examined."""
    first = plain(arguments[0]) if len(arguments) == 1 else None
    if isinstance(first, Atom) and judge.kind(first) == "bytes":
        return ""
    is_latin1 = (
        isinstance(first, Call)
        and first.path == "_codecs.encode"
        and not encoded_text(judge, first.arguments)
        and word(first.arguments[1]).lower() in LATIN1
    )
    return "" if is_latin1 else "with bytes that are computed while loading"


def view(judge: Context, arguments: Arguments) -> str:
    """`_rebuild_tensor_v2(storage, offset, shape, strides, …)`: torch enlarges a storage that is shorter than its view. Those
    in the file are compared by a rule of their own.
    """
    if wrong := any_arguments(judge, arguments):
        return wrong
    storage, offset, shape, strides = [*map(plain, arguments), None, None, None, None][:4]
    if not _is_literal(shape) or not _is_literal(strides):
        return "with a shape or strides that are no short tuple in the file"
    if not isinstance(storage, Call) or storage.path != "torch.storage._load_from_bytes" or offset is None:
        return ""
    start = integer(offset)
    sizes, steps = ([integer(part) for part in node.parts] if isinstance(node, Tuple) else [] for node in (shape, strides))
    is_inside = min((start, *sizes, *steps)) >= 0 and element_range(start, sizes, steps)[1] <= _most_elements(storage)
    return "" if is_inside else "with a shape larger than its storage"


def _is_literal(shape: Node | None) -> bool:
    """Whether a shape is in the file, also as a `torch.Size`; other values make torch raise."""
    if isinstance(shape, Call) and shape.path == "torch.Size":
        shape = plain(shape.arguments[0]) if shape.arguments else None
    if not isinstance(shape, Tuple):
        return not isinstance(shape, Call | List)
    return len(shape.parts) <= MOST_DIMENSIONS and not any(isinstance(plain(part), Call) for part in shape.parts)


def _most_elements(loaded: Call) -> int:
    """At least as many elements as a storage has that is pickled in bytes: as many as the bytes."""
    found = plain(loaded.arguments[0]) if loaded.arguments else None
    while isinstance(found, Call) and found.arguments:
        found = plain(found.arguments[0])
    return len(found.arg) if isinstance(found, Atom) and isinstance(found.arg, bytes | bytearray | str) else 0


def tensor_function(judge: Context, arguments: Arguments) -> str:
    """`_rebuild_from_type_v2(function, class, arguments, state)` calls its first argument, and gives the result a state."""
    function, _, given, state = [*map(plain, arguments), None, None, None, None][:4]
    if not isinstance(function, Global) or function.path not in TENSOR_FUNCTIONS:
        return "with a function that rebuilds no tensor"
    if not isinstance(given, Tuple) or state is None:
        return "with arguments that are computed while loading"
    return judge.inner(function, given) or tensor_state(judge, given, state)


def parameter_with_state(judge: Context, arguments: Arguments) -> str:
    """`_rebuild_parameter_with_state(tensor, requires_grad, hooks, state)` sets attributes (`torch/_utils.py`)."""
    return _WITH_STATE(judge, arguments) or literal_state(judge, arguments[3], plain(arguments[3]))


_WITH_STATE = takes("view any any any")


def unexpanded(judge: Context, arguments: Arguments) -> str:
    """A tensor that is copied on loading: a view that repeats its storage would grow to any size."""
    if wrong := _TENSOR(judge, arguments):
        return wrong
    reference = tensor_ref(plain(arguments[0]))
    if reference is None:
        return "with a tensor that is no view of a storage"
    is_larger = math.prod(reference.shape) > reference.storage.numel
    return "with a tensor that repeats elements, which are copied" if is_larger else ""


_TENSOR = takes("tensor any any bool|int")


def own_memory(judge: Context, arguments: Arguments) -> str:
    """`_rebuild_qtensor(storage, offset, shape, …)` first creates a tensor of that shape (`torch/_utils.py`)."""
    if wrong := any_arguments(judge, arguments):
        return wrong
    storage = storage_ref(plain(arguments[0])) if arguments else None
    shape = plain(arguments[2]) if len(arguments) > 2 else None
    if storage is None or not isinstance(shape, Tuple) or len(shape.parts) > MOST_DIMENSIONS:
        return "with a storage or a shape that is computed while loading"
    is_larger = math.prod(map(integer, shape.parts)) > MOST_PER_BYTE * storage.numel
    return "with a shape larger than its storage" if is_larger else ""


def one_value(judge: Context, arguments: Arguments) -> str:
    """The value of a member of an enumeration, by which its class looks it up."""
    return "with something other than the value of a member" if _ONE(judge, arguments) else ""


_ONE = takes("atom")


def literal_state(judge: Context, node: Node, state: Node) -> str:
    """The attributes of an object: a dict in the file, or a pair of it and the dict of its slots."""
    given = state.parts if isinstance(state, Tuple) and len(state.parts) == 2 else [state]
    is_literal = all(judge.kind(part) in ("dict", "none") and not isinstance(plain(part), Call) for part in given)
    return "" if is_literal else "and sets a state that is no dict in the file"


def own_state(judge: Context, node: Node, state: Node) -> str:
    """What the `__setstate__` of a class takes: any value in the file."""
    is_literal = isinstance(state, Atom | Tuple | List | Dict)
    return "" if is_literal else "and sets a state that is computed while loading"


def tensor_state(judge: Context, node: Node, state: Node) -> str:
    """The arguments of `Tensor.set_`, or attributes."""
    return "" if isinstance(state, Tuple) else literal_state(judge, node, state)


def one_tuple(judge: Context, arguments: Arguments) -> str:
    """A result of torch with named fields: `torch.return_types.max((values, indices), {})`."""
    is_tuple = 1 <= len(arguments) <= 2 and isinstance(plain(arguments[0]), Tuple)
    return "" if is_tuple else "with something other than a tuple"


def looping_state(judge: Context, node: Node, state: Node) -> str:
    """The state of an optimizer (`torch/optim/adam.py`, `__setstate__`: for each parameter in each group), a recurrent layer
    (`torch/nn/modules/rnn.py`: for each of `num_layers`) or a device mesh (`torch/distributed/device_mesh.py`: for each name of
    a group). What is looped over must be in the file.
    """
    if not isinstance(state, Dict) or any(not isinstance(key, Atom) for key, _ in pairs(state)):
        return "and gives it a state that is no literal dict"
    if any(text(key) == "num_layers" and not 0 <= integer(value) <= MOST_LAYERS for key, value in pairs(state)):
        return "and gives it too many layers"
    if any(text(key) == "_dim_group_names" and not isinstance(value, Tuple | List) for key, value in pairs(state)):
        return "and gives it groups that are computed while loading"
    if any(text(key) == "state" and judge.kind(value) != "dict" for key, value in pairs(state)):
        return "and gives it a state for its parameters that is no dict"
    groups = [value for key, value in pairs(state) if text(key) == "param_groups"]
    is_literal = all(isinstance(group, List) and all(_is_group(slot.node) for slot in item_slots(group)) for group in groups)
    return "" if is_literal else "and gives it parameters that are computed while loading"


def _is_group(node: Node) -> bool:
    """A group of parameters: a dict with a list of them."""
    return isinstance(node, Dict) and all(
        isinstance(key, Atom) and (text(key) != "params" or isinstance(value, List)) for key, value in pairs(node)
    )


def one_name(judge: Context, arguments: Arguments) -> str:
    """The function of a `functools.partial`, which is judged where it is named, and as called where the partial is called."""
    is_name = len(arguments) == 1 and _named(arguments[0]) is not None
    return "" if is_name else "with something other than one function or class"


def partial_state(judge: Context, node: Node, state: Node) -> str:
    """(function, arguments, keyword arguments, attributes): `functools.partial.__setstate__` takes the function from there."""
    parts = list(map(plain, state.parts)) if isinstance(state, Tuple) else []
    is_same = (
        len(parts) == 4
        and isinstance(parts[1], Tuple)
        and isinstance(parts[2], Dict)
        and isinstance(node, Call)
        and _same_name(parts[0], node.arguments)
    )
    is_bare = is_same and isinstance(parts[3], Atom) and parts[3].value is None
    return "" if is_bare else "and gives it another function, or attributes"


def _same_name(node: Node, arguments: Arguments) -> bool:
    name, first = _named(node), _named(arguments[0]) if arguments else None
    return name is not None and first is not None and name.path == first.path


def _named(node: Node) -> Global | None:
    """A name, also with its source, as torch.save of the legacy format stores classes."""
    found = plain(node)
    return found if isinstance(found, Global) else class_ref(found)


def torchbind_state(judge: Context, node: Node, state: Node) -> str:
    """(state, class): `torch.ScriptObject.__setstate__` looks the class up in torch and gives it the state. Those of quantized
    layers pack tensors.
    """
    path = text(plain(state.parts[1])) if isinstance(state, Tuple) and len(state.parts) == 2 else None
    return "" if path in PACKED_CLASSES else "and makes it an object of a class that does not hold the weights of a layer"
