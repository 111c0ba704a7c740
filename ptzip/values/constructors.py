"""The one list of what a pickle may have made: names that are values, calls that are rebuilt, objects that take a state.

Rule: only what cannot do anything but hold values is here, and nothing is imported by a name out of a file. Whatever is not
here stays an `Opaque`. How each is made is in `standard` (Python), `values` (torch), `ndarrays` (numpy), `rebuilds` (tensors).
"""

import argparse
import datetime
import pathlib
import types
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable

from ptzip.tensors.tensor import Tensor
from ptzip.values import rebuild_numpy as ndarrays
from ptzip.values import rebuild_python as standard
from ptzip.values import torch_values as values
from ptzip.values.rebuild_numpy import BIT_GENERATORS, Array, ArrayType, NumpyName, RandomState
from ptzip.values.rebuild_python import Constructor
from ptzip.values.rebuild_torch import REBUILDS, set_state
from ptzip.values.torch_values import (
    DTYPE_NAMES,
    LAYOUT_NAMES,
    MEMORY_FORMAT_NAMES,
    QSCHEME_NAMES,
    Dtype,
    Generator,
    Layout,
    MemoryFormat,
    QScheme,
)

NAMES: dict[str, object] = {
    **{f"torch.{name}": Dtype(name) for name in DTYPE_NAMES},
    **{f"torch.{name}": QScheme(name) for name in QSCHEME_NAMES},
    **{f"torch.{name}": Layout(name) for name in LAYOUT_NAMES},
    **{f"torch.{name}": MemoryFormat(name) for name in MEMORY_FORMAT_NAMES},
    **{
        f"{module}.{kind.__name__}": kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, list, tuple, set, frozenset, int, float, complex, bool, str, bytes, bytearray, slice, range, object)
    },
    **{f"__builtin__.{name}": kind for name, kind in (("unicode", str), ("long", int), ("xrange", range))},
    **{f"{module}.Ellipsis": Ellipsis for module in ("builtins", "__builtin__")},
    **{f"{module}.NotImplemented": NotImplemented for module in ("builtins", "__builtin__")},
    "collections.OrderedDict": OrderedDict,
    **{
        f"numpy.{name}": NumpyName(name.rstrip("_"))
        for name in (
            *("ndarray", "bool_", "bool", "str_", "bytes_", "float16", "float32", "float64", "complex64", "complex128"),
            *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "longlong", "ulonglong"),
        )
    },
    **{f"numpy.random._{name.lower()}.{name}": NumpyName(name) for name in BIT_GENERATORS},
    "numpy.random.bit_generator.SeedSequence": NumpyName("SeedSequence"),
    "numpy.random._pcg64.PCG64DXSM": NumpyName("PCG64DXSM"),
}
"""Names that stand for a value, by full name. None of these types does anything when it is merely held."""

_BUILTINS: dict[str, Constructor] = {
    "set": standard.of_items(set),
    "frozenset": standard.of_items(frozenset),
    "list": standard.of_items(list),
    "tuple": standard.of_items(tuple),
    "dict": standard.as_dict,
    "bytes": standard.as_bytes,
    "bytearray": standard.as_bytearray,
    "complex": standard.as_complex,
    "slice": standard.as_slice,
    "range": standard.as_range,
    "xrange": standard.as_range,
    "str": standard.as_text,
    "unicode": standard.as_text,
    "int": standard.as_int,
    "float": standard.as_float,
    "bool": standard.as_bool,
}

_PATHS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("PurePosixPath", "PosixPath", "PurePath", "Path"), pathlib.PurePosixPath),
    **dict.fromkeys(("PureWindowsPath", "WindowsPath"), pathlib.PureWindowsPath),
}
"""A path of a file becomes one that cannot touch a disk."""

_MULTIARRAY: dict[str, Constructor] = {"_reconstruct": ndarrays.array, "scalar": ndarrays.scalar}

CONSTRUCTORS: dict[str, Constructor] = {
    **REBUILDS,
    **{f"__builtin__.{name}": make for name, make in _BUILTINS.items()},
    **{f"builtins.{name}": make for name, make in _BUILTINS.items() if name not in ("unicode", "xrange")},
    "_codecs.encode": standard.encoded,
    "collections.OrderedDict": lambda given=(): OrderedDict(standard.pairs_of(given)),
    "collections.defaultdict": standard.as_defaultdict,
    "collections.Counter": standard.as_counter,
    "collections.deque": standard.as_deque,
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": lambda: types.SimpleNamespace(),
    "datetime.datetime": standard.time_of(datetime.datetime),
    "datetime.date": standard.time_of(datetime.date),
    "datetime.time": standard.time_of(datetime.time),
    "datetime.timedelta": standard.as_timedelta,
    "datetime.timezone": standard.as_timezone,
    "decimal.Decimal": standard.as_decimal,
    "fractions.Fraction": standard.as_fraction,
    "uuid.UUID": standard.as_uuid,
    **{f"{module}.{name}": standard.path_of(kind) for module in ("pathlib", "pathlib._local") for name, kind in _PATHS.items()},
    "torch.Size": values.as_size,
    "torch.device": values.as_device,
    "torch.serialization._get_layout": values.as_layout,
    "torch._C.Generator": values.as_generator,
    "torch.storage._load_from_bytes": values.nested_stream,
    **{
        f"torch.jit._pickle.{name}": values.first
        for name in ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
    },
    "torch.jit._pickle.restore_type_tag": values.first,
    **{f"numpy.{core}.multiarray.{name}": make for core in ("core", "_core") for name, make in _MULTIARRAY.items()},
    **{f"numpy.{core}.numeric._frombuffer": ndarrays.array_from_buffer for core in ("core", "_core")},
    "numpy.dtype": ndarrays.array_type,
    "numpy.random._pickle.__bit_generator_ctor": ndarrays.random_state("BitGenerator"),
    "numpy.random._pickle.__generator_ctor": ndarrays.random_state("Generator"),
    "numpy.random._pickle.__randomstate_ctor": ndarrays.random_state("RandomState"),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": ndarrays.seed_sequence,
}
"""Every function and class that is called, by full name: module, dot, name. A call that does not fit stays an `Opaque`."""

STATES: dict[type, Callable[..., None]] = {
    OrderedDict: standard.set_dict,
    Counter: standard.set_dict,
    argparse.Namespace: standard.set_dict,
    types.SimpleNamespace: standard.set_dict,
    uuid.UUID: standard.set_uuid,
    Tensor: set_state,
    Generator: values.set_generator,
    Array: ndarrays.set_array,
    ArrayType: ndarrays.set_array_type,
    RandomState: ndarrays.set_random_state,
}
"""What BUILD does to the objects that were made, by their type."""
