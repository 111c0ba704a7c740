"""The one list of what a pickle may have made: names that are values, calls that are rebuilt, objects that take a state.

Rule: only what cannot do anything but hold values is here, and every function looks at its arguments before it uses them;
nothing is imported by a name out of a file. Whatever is not here stays an `Opaque`.
"""

import argparse
import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable

from ptzip.objects.checks import Misfit, integer, integers, items, mapping, number, text, texts
from ptzip.objects.ndarrays import Array, ArrayType, NumpyName, RandomState
from ptzip.objects.opaque import Opaque
from ptzip.objects.rebuilds import REBUILDS, set_state
from ptzip.objects.values import (
    DTYPE_NAMES,
    LAYOUT_NAMES,
    MEMORY_FORMAT_NAMES,
    QSCHEME_NAMES,
    Device,
    Dtype,
    Generator,
    Layout,
    MemoryFormat,
    QScheme,
    Size,
)
from ptzip.tensors.tensor import Tensor

Constructor = Callable[..., object]

ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "ascii", "raw_unicode_escape"})
FRACTION = re.compile(r"-?\d{1,4000}(/\d{1,4000})?")
DECIMAL = re.compile(r"-?(\d{1,4000}(\.\d{1,4000})?(E[+-]\d{1,9})?|Infinity|s?NaN\d{0,100})")
"""Numbers as text that do not take long to read."""


class Nested(bytes):
    """A legacy stream that is a value inside a pickle: the machine opens it."""

    __slots__ = ()


def concrete(value: object) -> list[object] | tuple[object, ...]:
    """The items of a container that is there, unlike a range or a count, which may stand for any number of items."""
    if isinstance(value, dict | set | frozenset | deque):
        return list(value)
    if isinstance(value, list | tuple):
        return value
    raise Misfit(f"an object of {type(value).__name__} stands where items are expected")


def of_items(make: Callable[[list[object] | tuple[object, ...]], object]) -> Constructor:
    """A constructor that takes nothing, or a container."""
    return lambda given=(): make(concrete(given))


def as_bytes(given: object = b"", encoding: object = "latin1", *_: object) -> bytes:
    """`bytes()`, `bytes([1, 2])`, `bytes('text', 'latin1')`; never `bytes(number)`, which asks for memory."""
    if isinstance(given, str):
        return encoded(given, encoding)
    return bytes(given) if isinstance(given, bytes | bytearray) else bytes(integers(given))


def encoded(given: object, encoding: object = "utf-8", *_: object) -> bytes:
    """`_codecs.encode`, by which protocol 2 spells bytes."""
    if text(encoding).lower() not in ENCODINGS:
        raise Misfit(f"text is not encoded as {encoding}")
    return text(given).encode(text(encoding))


def as_text(given: object = "") -> str:
    return text(given)


def pairs_of(given: object) -> list[tuple[object, object]]:
    """The pairs of a dict, or of a list of pairs, as Python 2 spells an OrderedDict."""
    if isinstance(given, dict):
        return list(given.items())
    pairs = [concrete(pair) for pair in concrete(given)]
    if any(len(pair) != 2 for pair in pairs):
        raise Misfit("something other than pairs stands where pairs are expected")
    return [(pair[0], pair[1]) for pair in pairs]


def as_counter(given: object = ()) -> Counter[object]:
    made: Counter[object] = Counter()
    for key, count in pairs_of(given):
        made[key] = count  # type: ignore[assignment]  # it holds whatever it is given
    return made


FACTORIES: tuple[object, ...] = (None, dict, list, set, int, float, str, bool, tuple, OrderedDict)


def as_defaultdict(factory: object = None, given: object = ()) -> defaultdict[object, object]:
    """With one of the factories that are plain types; another one cannot be called, so it is no part of a defaultdict."""
    if isinstance(factory, Opaque) or factory not in FACTORIES:
        raise Misfit(f"{factory!r} cannot be a factory")
    made: defaultdict[object, object] = defaultdict(factory)  # type: ignore[call-overload]
    made.update(pairs_of(given))
    return made


def as_deque(given: object = (), most: object = None) -> deque[object]:
    return deque(concrete(given), None if most is None else integer(most))


def as_slice(*bounds: object) -> slice:
    return slice(*(None if bound is None else integer(bound) for bound in bounds))


def as_complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    return complex(number(real), number(imaginary))


def _time(kind: Callable[..., object]) -> Constructor:
    """A class of datetime: it checks its own arguments, and none of them can be large."""

    def make(*given: object) -> object:
        plain = [
            value.encode("latin1") if isinstance(value, str) and place == 0 else value for place, value in enumerate(given)
        ]
        return kind(*plain)

    return make


def as_timezone(offset: object, name: object = None) -> datetime.timezone:
    if not isinstance(offset, datetime.timedelta):
        raise Misfit("a timezone needs a timedelta")
    return datetime.timezone(offset) if name is None else datetime.timezone(offset, text(name))


def as_timedelta(*given: object) -> datetime.timedelta:
    return datetime.timedelta(*(number(value) if isinstance(value, float) else integer(value) for value in given))


def as_decimal(given: object) -> decimal.Decimal:
    if not DECIMAL.fullmatch(text(given)):
        raise Misfit("text stands where a decimal number is expected")
    return decimal.Decimal(text(given))


def as_fraction(over: object, under: object = 1) -> fractions.Fraction:
    if isinstance(over, str) and FRACTION.fullmatch(over):
        return fractions.Fraction(over)
    return fractions.Fraction(integer(over), integer(under))


def as_uuid() -> uuid.UUID:
    return uuid.UUID(int=0)


def set_uuid(made: uuid.UUID, state: object) -> None:
    value = integer(mapping(state).get("int"))
    if not 0 <= value < 1 << 128:
        raise Misfit("a number is too large for a UUID")
    object.__setattr__(made, "int", value)


def path_of(kind: Callable[..., object]) -> Constructor:
    """A path that is never looked for on any disk."""
    return lambda *parts: kind(*map(text, parts))


def set_dict(made: object, state: object) -> None:
    """What BUILD does to an object with a `__dict__`, that of a known class."""
    told = texts(state)
    attributes = getattr(made, "__dict__", None)
    if attributes is None:
        raise Misfit(f"an object of {type(made).__name__} takes no state")
    attributes.update(told)


def as_size(given: object = ()) -> Size:
    return Size(integers(given))


def as_device(kind: object, index: object = None) -> Device:
    name, _, number_text = text(kind).partition(":")
    if number_text and not number_text.isdecimal():
        raise Misfit(f"{kind} is no device")
    return Device(name, int(number_text) if number_text else None if index is None else integer(index))


def as_layout(name: object) -> Layout:
    return Layout(text(name).removeprefix("torch."))


def as_generator(device: object = None) -> Generator:
    return Generator(device if isinstance(device, Device) else as_device(device or "cpu"))


def set_generator(made: Generator, state: object) -> None:
    made.seed, made.offset, made.state = items(state, 3)


def nested_stream(data: object) -> Nested:
    """`torch.storage._load_from_bytes`: how a storage is pickled without torch.save."""
    if not isinstance(data, bytes | bytearray):
        raise Misfit("a stream in a pickle is bytes")
    return Nested(data)


def first(value: object, *_: object) -> object:
    """Functions of TorchScript that give back what they are given, with a type that Python does not need."""
    return value


def array(*_: object) -> Array:
    """`numpy.core.multiarray._reconstruct`: an empty array, whose contents come with BUILD."""
    return Array()


def set_array(made: Array, state: object) -> None:
    """(version, shape, dtype, is_fortran, data), in old files without the version."""
    given = items(state, 4, 5)[-4:]
    kind, data = given[1], given[3]
    if not isinstance(kind, ArrayType) or not isinstance(data, bytes | bytearray | str | list):
        raise Misfit("an array has no dtype or no data")
    made.shape, made.dtype, made.fortran = integers(given[0]), kind, bool(given[2])
    made.data = data.encode() if isinstance(data, str) else data  # a Python 2 string that happens to be UTF-8


def array_from_buffer(data: object, kind: object, shape: object, order: object = "C") -> Array:
    """`numpy._core.numeric._frombuffer`, as protocol 5 spells arrays."""
    if not isinstance(kind, ArrayType) or not isinstance(data, bytes | bytearray):
        raise Misfit("an array has no dtype or no data")
    return Array(kind, integers(shape), order == "F", data)


def scalar(kind: object, data: object = b"") -> Array:
    if not isinstance(kind, ArrayType):
        raise Misfit("a scalar has no dtype")
    if kind.code[:1] == "O":
        return Array(kind, (), data=[data], is_scalar=True)
    if not isinstance(data, bytes | bytearray | str):
        raise Misfit("a scalar has no data")
    return Array(kind, (), data=data.encode() if isinstance(data, str) else data, is_scalar=True)


def array_type(code: object, *_: object) -> ArrayType:
    if isinstance(code, NumpyName):
        return ArrayType(code.name)
    return ArrayType(text(code))


def set_array_type(made: ArrayType, state: object) -> None:
    """(version, byte order, subdtype, names, fields, size, alignment, flags[, metadata])."""
    given = items(state, 6, 7, 8, 9)
    made.order = text(given[1])
    if given[2] is not None:
        base, shape = items(given[2], 2)
        made.subtype = _array_type(base), integers(shape) if isinstance(shape, tuple) else (integer(shape),)
    if given[3] is not None:
        made.names = tuple(map(text, items(given[3])))
        fields = {text(name): items(value, 2, 3) for name, value in mapping(given[4]).items()}
        made.fields = {name: (_array_type(value[0]), integer(value[1])) for name, value in fields.items()}
    made.size = integer(given[5])
    if len(given) == 9 and isinstance(given[8], tuple) and len(given[8]) == 2:
        made.unit = items(given[8][1]) if isinstance(given[8][1], tuple) else None


def _array_type(value: object) -> ArrayType:
    if not isinstance(value, ArrayType):
        raise Misfit("something else stands where an array's dtype is expected")
    return value


BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def random_state(kind: str) -> Constructor:
    """A generator of numpy; its state comes with BUILD, that of newer versions with its bit generator."""

    def make(bits: object = "MT19937", *_: object) -> RandomState:
        if isinstance(bits, RandomState):
            return RandomState(kind, bits.bits, bits.state) if kind != "BitGenerator" else bits
        name = bits.name if isinstance(bits, NumpyName) else text(bits)
        if name not in BIT_GENERATORS:
            raise Misfit(f"{name} is no bit generator of numpy")
        return RandomState(kind, name)

    return make


def seed_sequence(*_: object) -> RandomState:
    return RandomState("SeedSequence", "")


def set_random_state(made: RandomState, state: object) -> None:
    """A dict, or (dict, seed sequence), of which the first is enough to go on from; of a seed sequence five items."""
    if made.kind == "SeedSequence":
        made.state = items(state, 5)
        return
    held = state[0] if isinstance(state, tuple) and state else state
    if isinstance(held, dict):
        made.state = held


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
    "set": of_items(set),
    "frozenset": of_items(frozenset),
    "list": of_items(list),
    "tuple": of_items(tuple),
    "dict": lambda given=(): dict(pairs_of(given)),
    "bytes": as_bytes,
    "bytearray": lambda *given: bytearray(as_bytes(*given)),
    "complex": as_complex,
    "slice": as_slice,
    "range": lambda *bounds: range(*map(integer, bounds)),
    "xrange": lambda *bounds: range(*map(integer, bounds)),
    "str": as_text,
    "unicode": as_text,
    "int": lambda given=0: int(number(given)) if isinstance(given, float) else integer(given),
    "float": lambda given=0.0: number(given),
    "bool": lambda given=False: bool(number(given)),
}

_PATHS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("PurePosixPath", "PosixPath", "PurePath", "Path"), pathlib.PurePosixPath),
    **dict.fromkeys(("PureWindowsPath", "WindowsPath"), pathlib.PureWindowsPath),
}
"""A path of a file becomes one that cannot touch a disk."""

_MULTIARRAY: dict[str, Constructor] = {"_reconstruct": array, "scalar": scalar}

CONSTRUCTORS: dict[str, Constructor] = {
    **REBUILDS,
    **{f"{module}.{name}": make for module in ("builtins", "__builtin__") for name, make in _BUILTINS.items()},
    "_codecs.encode": encoded,
    "collections.OrderedDict": lambda given=(): OrderedDict(pairs_of(given)),
    "collections.defaultdict": as_defaultdict,
    "collections.Counter": as_counter,
    "collections.deque": as_deque,
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": lambda: types.SimpleNamespace(),
    "datetime.datetime": _time(datetime.datetime),
    "datetime.date": _time(datetime.date),
    "datetime.time": _time(datetime.time),
    "datetime.timedelta": as_timedelta,
    "datetime.timezone": as_timezone,
    "decimal.Decimal": as_decimal,
    "fractions.Fraction": as_fraction,
    "uuid.UUID": as_uuid,
    **{f"{module}.{name}": path_of(kind) for module in ("pathlib", "pathlib._local") for name, kind in _PATHS.items()},
    "torch.Size": as_size,
    "torch.device": as_device,
    "torch.serialization._get_layout": as_layout,
    "torch._C.Generator": as_generator,
    "torch.storage._load_from_bytes": nested_stream,
    **{
        f"torch.jit._pickle.{name}": first
        for name in ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
    },
    "torch.jit._pickle.restore_type_tag": first,
    **{f"numpy.{core}.multiarray.{name}": make for core in ("core", "_core") for name, make in _MULTIARRAY.items()},
    **{f"numpy.{core}.numeric._frombuffer": array_from_buffer for core in ("core", "_core")},
    "numpy.dtype": array_type,
    "numpy.random._pickle.__bit_generator_ctor": random_state("BitGenerator"),
    "numpy.random._pickle.__generator_ctor": random_state("Generator"),
    "numpy.random._pickle.__randomstate_ctor": random_state("RandomState"),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": seed_sequence,
}
"""Every function and class that is called, by full name: module, dot, name. A call that does not fit stays an `Opaque`."""

STATES: dict[type, Callable[..., None]] = {
    OrderedDict: set_dict,
    Counter: set_dict,
    argparse.Namespace: set_dict,
    types.SimpleNamespace: set_dict,
    uuid.UUID: set_uuid,
    Tensor: set_state,
    Generator: set_generator,
    Array: set_array,
    ArrayType: set_array_type,
    RandomState: set_random_state,
}
"""What BUILD does to the objects that were made, by their type."""
