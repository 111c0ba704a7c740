"""The one allow list: per name what a pickle may do with it, how arguments are checked, and what `load` returns for it.

Names match exactly, by module and name: no module is allowed as a whole, and a dotted name below an allowed one is another
name. Sources: `torch/_weights_only_unpickler.py`, and what numpy and Python's containers, dates and paths reduce to. Classes of
torch are in `torch_classes`, which is imported when a pickle has a name of torch that is not here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from ptzip.allowlist import argument_checks as checks
from ptzip.allowlist import numpy_checks as arrays
from ptzip.allowlist.signatures import ArgumentCheck, StateCheck, takes, weighs
from ptzip.tensors.dtypes import BY_NAME, NAME_ONLY, STRING_DTYPE
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, REBUILD_JAGGED, STORAGE_CLASSES, TORCH_NAMES

Name = tuple[str, str]
"""Module and name, as the pickle has them."""


def pair(path: str) -> Name:
    """Module and name of a full name, split at the last dot."""
    module, _, name = path.rpartition(".")
    return module, name


OPAQUE = "opaque"
"""An object that `load` does not rebuild takes any state: it keeps it."""


class AllowedName(NamedTuple):
    """One row. A call needs a `check`: None means that the name may be imported, never called.

    `rebuild`, `value` and `state` are names of functions in `values/rebuild_*.py` and `values/torch_values.py`: `rebuild`
    returns what a call returns, from its arguments (words after the name of the function are passed before them); `value`
    the value of the bare name, from its last part; `state` applies what BUILD sets, "" where nothing may. Without
    `rebuild` or `value`, `load` returns an `Opaque`.
    `check_state` judges that state. `returns` is the kind of what a call returns, as in `Judge.kind`: containers may be
    filled by opcodes, and be arguments of others. `LARGEST` says how large that is.
    `weights_only`: whether any `torch.load(weights_only=True)` since 2.6 imports the name, or calls it too.
    `is_value`: False for functions that pickles call and never store, since a stored one is called by something else.
    `is_instance`: a class that pickles instantiate without its constructor, which would run code, and give a state.
    """

    check: ArgumentCheck | None = None
    rebuild: str = ""
    value: str = ""
    state: str = ""
    check_state: StateCheck = checks.literal_state
    returns: str = "object"
    weights_only: Literal["", "name", "call"] = ""
    is_value: bool = True
    is_instance: bool = False


Rows = Iterable[tuple[str, str, AllowedName]]
"""Modules, names in them (both separated by spaces), and what is allowed for each."""

Row = AllowedName
BUILTINS = " ".join(checks.BUILTINS)
MULTIARRAY = "numpy.core.multiarray numpy._core.multiarray"

INSTANCE = Row(checks.no_arguments, state=OPAQUE, is_instance=True)
"""A class made by NEWOBJ, or by `_reconstructor`, and BUILD."""

UNPACKING = INSTANCE._replace(check_state=checks.own_state)
"""The same, whose `__setstate__` unpacks a tuple."""

ENUM = Row(checks.one_value)
"""A class called with one number or string, as the members of enumerations are pickled."""

RECORD = Row(checks.any_arguments, state=OPAQUE)
"""A class or function that keeps its arguments, or computes something harmless of them: named tuples, for instance."""

TRUSTED, TRUSTED_CALL = (row._replace(check_state=checks.own_state, returns="instance") for row in (INSTANCE, RECORD))
"""The same of a package that the user trusts, which may have states of its own, and be a kind of list or dict."""

STRUCTURE = Row(checks.one_tuple)
"""A class that takes the items of its one tuple."""

LOOPING = INSTANCE._replace(check_state=checks.looping_state)
"""An instance of an optimizer or a recurrent layer, whose `__setstate__` goes through its groups or layers."""

STORED = Row()
"""A function that pickles store and never call."""

BASES = frozenset(
    {"collections.OrderedDict"}
    | {f"{module}.{name}" for module in checks.BUILTINS for name in ("object", "dict", "list", "tuple", "set")}
)
"""The bases that `_reconstructor(cls, base, state)` may call."""

LARGE = 64
"""The items that an empty deque has room for (`_collectionsmodule.c`). A generator of random numbers counts as many: it is
larger, but an honest one has a state in the file.
"""

_ITEMS = takes("items?")
_ORDERED_DICT = Row(_ITEMS, "paired OrderedDict", "python_type", "set_attributes", returns="dict", weights_only="call")
_PYTHON: Rows = (
    (BUILTINS, "Ellipsis NotImplemented", Row(value="python_type")),
    (BUILTINS, "object", Row(checks.no_arguments, value="python_type")),
    (BUILTINS, "set", Row(_ITEMS, "container set", "python_type", returns="set", weights_only="call")),
    (BUILTINS, "frozenset", Row(_ITEMS, "container frozenset", "python_type", returns="frozenset")),
    (BUILTINS, "list", Row(_ITEMS, "container list", "python_type", returns="list")),
    (BUILTINS, "tuple", Row(_ITEMS, "container tuple", "python_type", returns="tuple")),
    (BUILTINS, "dict", Row(_ITEMS, "paired dict", "python_type", returns="dict")),
    (BUILTINS, "bytes", Row(checks.new_bytes, "as_bytes", "python_type", returns="bytes")),
    (BUILTINS, "bytearray", Row(checks.new_bytes, "as_bytearray", "python_type", returns="bytearray", weights_only="call")),
    (BUILTINS, "complex", Row(takes("number? number?"), "as_complex", "python_type", weights_only="call")),
    (BUILTINS, "int", Row(takes("number|text?"), "as_int", "python_type")),
    (BUILTINS, "float", Row(takes("number|text?"), "as_float", "python_type")),
    (BUILTINS, "bool", Row(takes("atom?"), "as_bool", "python_type")),
    (BUILTINS, "str", Row(takes("str?"), "as_text", "python_type", returns="text")),
    (BUILTINS, "slice", Row(takes("atom atom? atom?"), "as_slice", "python_type")),
    (BUILTINS, "range", Row(takes("int int? int?"), "as_range", "python_type")),
    ("__builtin__", "unicode", Row(takes("str?"), "as_text", "python_type", returns="text")),
    ("__builtin__", "long", Row(takes("number|text?"), "as_int", "python_type")),
    ("__builtin__", "xrange", Row(takes("int int? int?"), "as_range", "python_type")),
    ("_codecs", "encode", Row(checks.encoded_text, "encode_text", returns="bytes", weights_only="call")),
    ("collections", "OrderedDict", _ORDERED_DICT),
    ("collections", "Counter", Row(_ITEMS, "as_counter", state="set_attributes", returns="dict")),
    ("collections", "defaultdict", Row(checks.builtin_factory, "as_defaultdict", returns="dict")),
    ("collections", "deque", Row(weighs(LARGE, takes("items? none|int?")), "as_deque", returns="deque")),
    ("collections", "ChainMap", INSTANCE),
    ("functools", "partial", Row(checks.one_name, state=OPAQUE, check_state=checks.partial_state)),
    ("argparse", "Namespace", Row(checks.no_arguments, "attribute_bag Namespace", state="set_attributes")),
    ("typing", "Any", Row()),
    ("types", "SimpleNamespace", Row(checks.no_arguments, "attribute_bag SimpleNamespace", state="set_attributes")),
    ("uuid", "UUID", Row(checks.no_arguments, "zero_uuid", state="set_uuid")),
    ("datetime", "date", Row(takes("bytes|text|int int? int?"), "moment date")),
    ("datetime", "datetime", Row(takes("bytes|text|int any? int? int? int? int? int? any?"), "moment datetime")),
    ("datetime", "time", Row(takes("bytes|text|int any? int? int? any?"), "moment time")),
    ("datetime", "timedelta", Row(takes("int|float? int|float? int|float?"), "as_timedelta", returns="timedelta")),
    ("datetime", "timezone", Row(takes("timedelta text?"), "as_timezone")),
    ("decimal", "Decimal", Row(checks.decimal_number, "as_decimal")),
    ("fractions", "Fraction", Row(checks.fraction, "as_fraction")),
    ("pathlib pathlib._local", "Path PosixPath PurePath PurePosixPath", Row(takes("text*"), "posix_path")),
    ("pathlib pathlib._local", "WindowsPath PureWindowsPath", Row(takes("text*"), "windows_path")),
    ("copyreg copy_reg", "_reconstructor __newobj__", Row(is_value=False)),
    ("joblib.numpy_pickle", "NumpyArrayWrapper", Row(checks.no_arguments, state=OPAQUE)),
)

_RANDOM = Row(weighs(LARGE, arrays.numpy_random), state="set_random_state", check_state=arrays.random_state)
_SEEDS = Row(
    weighs(LARGE, takes("name int none|tuple")),
    "seed_sequence",
    state="set_random_state",
    check_state=arrays.seed_state,
)
_NUMPY: Rows = (
    ("numpy", "ndarray bool_ bool str_ bytes_ float16 float32 float64 complex64 complex128", Row(value="numpy_class")),
    ("numpy", "int8 int16 int32 int64 longlong uint8 uint16 uint32 uint64 ulonglong", Row(value="numpy_class")),
    ("numpy", "dtype", Row(arrays.dtype_code, "numpy_dtype", "", "set_numpy_dtype", arrays.dtype_state, "dtype")),
    (MULTIARRAY, "_reconstruct", Row(arrays.empty_array, "empty_array", "", "set_array", arrays.array_state, "array")),
    ("numpy.ma.core", "_mareconstruct", Row(arrays.masked_array, state=OPAQUE, check_state=arrays.masked_state)),
    ("numpy.ma.core", "MaskedConstant", Row(checks.no_arguments)),
    ("numpy.ma numpy.ma.core", "MaskedArray", Row()),
    ("numpy numpy.matrixlib.defmatrix", "matrix", Row()),
    ("numpy numpy.rec numpy.core.records numpy._core.records", "recarray record", Row(value="numpy_class")),
    (*pair(STRING_DTYPE), Row(takes("bool|int none|float|text|name?"), "string_dtype", returns="dtype")),
    (MULTIARRAY, "scalar", Row(arrays.scalar, "array_scalar")),
    ("numpy.core.numeric numpy._core.numeric", "_frombuffer", Row(arrays.numeric_buffer, "array_from_buffer", returns="array")),
    ("numpy.random._pickle", "__bit_generator_ctor", _RANDOM._replace(rebuild="random_state BitGenerator")),
    ("numpy.random._pickle", "__generator_ctor", _RANDOM._replace(rebuild="random_state Generator")),
    ("numpy.random._pickle", "__randomstate_ctor", _RANDOM._replace(rebuild="random_state RandomState")),
    *((f"numpy.random._{name.lower()}", name, Row(value="numpy_class")) for name in arrays.BIT_GENERATORS),
    ("numpy.random._pcg64", "PCG64DXSM", Row(value="numpy_class")),
    ("numpy.random.bit_generator", "SeedSequence", Row(value="numpy_class")),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence", _SEEDS),
)

_TENSOR = Row(checks.any_arguments, state="set_tensor", check_state=checks.tensor_state, returns="tensor", weights_only="call")
"""A function that rebuilds a tensor, and that weights_only calls."""

_OTHER_TENSOR = _TENSOR._replace(weights_only="")
_FROM_ARRAY = _OTHER_TENSOR._replace(check=takes("array any any bool|int"), rebuild="tensor_from_array")
_FROM_CPU = _OTHER_TENSOR._replace(check=checks.unexpanded, rebuild="tensor_from_cpu")
_SUBCLASS = Row(checks.tensor_function, "tensor_from_type", "", "set_tensor", checks.tensor_state, "tensor", is_value=False)

_VIEW = _TENSOR._replace(check=checks.view)
_WITH_STATE = _TENSOR._replace(check=checks.parameter_with_state, rebuild="parameter_with_state")

_TENSORS: Rows = (
    ("torch._utils", "_rebuild_tensor _rebuild_tensor_v2", _VIEW._replace(rebuild="strided_tensor")),
    ("torch._utils", "_rebuild_tensor_v3", _VIEW._replace(rebuild="typed_tensor")),
    ("torch._utils", "_rebuild_parameter", _TENSOR._replace(check=takes("view any any"), rebuild="parameter")),
    ("torch._utils", "_rebuild_parameter_with_state", _WITH_STATE),
    ("torch._utils", "_rebuild_sparse_tensor", _TENSOR._replace(rebuild="sparse_tensor")),
    ("torch._utils", "_rebuild_sparse_csr_tensor", _OTHER_TENSOR._replace(rebuild="sparse_tensor")),
    ("torch._utils", "_rebuild_qtensor", _TENSOR._replace(check=checks.own_memory, rebuild="quantized_tensor")),
    ("torch._utils", "_rebuild_nested_tensor", _TENSOR._replace(rebuild="nested_tensor")),
    ("torch._utils", "_rebuild_meta_tensor_no_storage", _TENSOR._replace(rebuild="meta_tensor")),
    ("torch._utils", "_rebuild_wrapper_subclass", _OTHER_TENSOR._replace(rebuild="wrapper_tensor")),
    ("torch._utils", "_rebuild_device_tensor_from_numpy", _FROM_ARRAY),
    ("torch._utils", "_rebuild_xla_tensor", _FROM_ARRAY),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor", _FROM_CPU),
    ("torch._tensor", "_rebuild_from_type_v2", _SUBCLASS._replace(weights_only="name")),
    ("torch._tensor", "_rebuild_from_type", _SUBCLASS),
    ("torch.tensor", "_rebuild_from_type _rebuild_from_type_v2", _SUBCLASS),
    (*pair(REBUILD_JAGGED), _OTHER_TENSOR._replace(rebuild="jagged_tensor")),
    ("torch.storage", "_load_from_bytes", Row(checks.literal_bytes, "nested_stream", is_value=False)),
)

_EMPTY_TENSOR = Row(checks.no_arguments, "tensor_object float32 torch.Tensor", "", "set_tensor", checks.tensor_state, "tensor")
_WRAPPED = takes("view|none? any? any?")
"""A tensor around another one: a number would be a size, and of another object the method `detach` is called."""

_PARAMETER = "tensor_object float32 torch.nn.parameter."
_TENSOR_CLASSES: Rows = (
    ("torch", "Tensor", _EMPTY_TENSOR._replace(weights_only="name")),
    ("torch._tensor torch.tensor", "Tensor", _EMPTY_TENSOR),
    ("torch.nested._internal.nested_tensor", "NestedTensor", Row()),
    ("torch.autograd.variable", "Variable", _EMPTY_TENSOR._replace(check=_WRAPPED)),
    (
        "torch.nn.parameter",
        "Parameter",
        _OTHER_TENSOR._replace(check=_WRAPPED, rebuild=f"{_PARAMETER}Parameter", weights_only="name"),
    ),
    ("torch.nn.parameter", "Buffer", _OTHER_TENSOR._replace(check=_WRAPPED, rebuild=f"{_PARAMETER}Buffer")),
    *(
        ("torch.nn.parameter", name, _OTHER_TENSOR._replace(rebuild=f"uninitialized_tensor torch.nn.parameter.{name}"))
        for name in ("UninitializedParameter", "UninitializedBuffer")
    ),
    *(
        (*pair(path), _EMPTY_TENSOR._replace(rebuild=f"tensor_object {dtype.name} torch.Tensor", weights_only="name"))
        for path, dtype in OLD_TENSOR_CLASSES.items()
    ),
    *(
        (*pair(path), Row(checks.no_arguments, state=OPAQUE, check_state=checks.tensor_state))
        for path, row in TORCH_NAMES.items()
        if row.role == "tensor class" and ".sparse." in path
    ),
    *((*pair(path), Row(weights_only="name")) for path in STORAGE_CLASSES),
    ("torch.storage", "TypedStorage", Row()),
)

_FIRST = Row(checks.any_arguments, "first_argument")
_TORCH: Rows = (
    ("torch", " ".join(BY_NAME), Row(value="Dtype", weights_only="name")),
    ("torch", " ".join(NAME_ONLY), Row(value="Dtype")),
    ("torch", "per_tensor_affine per_channel_affine", Row(value="QScheme", weights_only="name")),
    ("torch", "per_tensor_symmetric per_channel_symmetric per_channel_affine_float_qparams", Row(value="QScheme")),
    ("torch", "strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged _mkldnn", Row(value="Layout")),
    ("torch", "contiguous_format preserve_format channels_last channels_last_3d", Row(value="MemoryFormat")),
    ("torch", "Size", Row(_ITEMS, "as_size", returns="tuple", weights_only="call")),
    ("torch", "device", Row(takes("text|int int?"), "as_device", weights_only="call")),
    ("torch.serialization", "_get_layout", Row(takes("text"), "as_layout", weights_only="call")),
    (
        "torch._C",
        "Generator",
        Row(
            weighs(LARGE, takes("object|text?")),
            "torch_generator",
            state="set_torch_generator",
            check_state=checks.own_state,
        ),
    ),
    ("torch", "ScriptObject", INSTANCE._replace(check_state=checks.torchbind_state)),
    ("torch._dynamo.decorators", "_DimRange", Row(takes("atom*"), state=OPAQUE, check_state=checks.own_state)),
    ("torch.jit._pickle", "build_intlist build_tensorlist build_doublelist build_boollist restore_type_tag", _FIRST),
)

ALLOWED: dict[Name, AllowedName] = {
    (module, name): row
    for modules, names, row in (*_PYTHON, *_NUMPY, *_TENSORS, *_TENSOR_CLASSES, *_TORCH)
    for module in modules.split()
    for name in names.split()
}
"""The list."""

_ITEM_OPS, _PAIR_OPS = ("APPEND", "APPENDS"), ("SETITEM", "SETITEMS")
FILLED_BY = {
    **{"list": _ITEM_OPS, "deque": _ITEM_OPS, "dict": _PAIR_OPS, "set": ("ADDITEMS",)},
    "instance": (*_ITEM_OPS, *_PAIR_OPS, "ADDITEMS"),
}
"""The opcodes that may fill an object, by its kind. A class of a package may be one of a list or dict; on anything else they
would call a method of the object.
"""

LARGEST = {
    **dict.fromkeys(("list", "tuple", "dict", "set", "frozenset", "deque"), "the items that it is given, which are counted"),
    **dict.fromkeys(("text", "bytes", "bytearray"), "the text or bytes that it is given, which are counted"),
    "array": "empty, or the bytes and objects that it is given",
    "dtype": "a description",
    "timedelta": "three numbers",
    "tensor": "a view of its storage, which is in the file; none where the tensor has a shape alone",
    "object": "a reference to each argument; numbers of as many digits as they are given; generators, which are counted",
    "instance": "what a trusted class makes of its arguments, and what is put into it",
}
"""How large the result of a call may be, by the kind that its row returns; `check` sees to that."""

ROW_OF_SUFFIX = {"": INSTANCE, "*": UNPACKING, "#": LOOPING, "=": ENUM, "()": RECORD, "[]": STRUCTURE, "&": STORED}
"""Rows by what follows a name in the tables of torch's classes and of the presets."""

Trust = Mapping[Name, AllowedName]
"""What a user trusts in addition to the allow list."""

NOTHING: Trust = {}


def allowed_row(module: str, name: str) -> AllowedName | None:
    """What a pickle may do with a name; None where it may not even import it."""
    found = ALLOWED.get((module, name))
    if found is None and module.startswith("torch."):
        from ptzip.allowlist import torch_classes  # a large table, which state dicts do not need

        suffix = torch_classes.suffix_of(module, name)
        return None if suffix is None else ROW_OF_SUFFIX[suffix]
    return found


def is_allowed(module: str, name: str) -> bool:
    """Whether a pickle may import this."""
    return allowed_row(module, name) is not None


WEIGHTS_ONLY_CALLS = frozenset(".".join(name) for name, row in ALLOWED.items() if row.weights_only == "call")
WEIGHTS_ONLY_NAMES = WEIGHTS_ONLY_CALLS | {".".join(name) for name, row in ALLOWED.items() if row.weights_only}
"""What every `torch.load(weights_only=True)` since torch 2.6 calls, and what it imports."""

WEIGHTS_ONLY_OPCODES = frozenset(
    (
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "GLOBAL", "REDUCE"),
        *("NEWOBJ", "BINPERSID"),
    )
)
"""The opcodes of values that it reads; all but one of those of protocol 2."""
