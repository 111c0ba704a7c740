"""numpy's arrays, scalars, dtypes and random states as a pickle tells them: inert until numpy is asked for.

Rule: numpy is not loaded here; `arrays` makes numpy's own objects of these.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ptzip.allowlist.argument_checks import BIT_GENERATORS
from ptzip.values.argument_types import Misfit, items, mapping, place, sizes, text

KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
"""The letters of numpy's type codes that have a name with a number of bits."""


@dataclass(slots=True, eq=False)
class ArrayType:
    """A numpy dtype: its code as in "f4", and what BUILD tells (`numpy/_core/src/multiarray/descriptor.c`)."""

    code: str
    order: str = "="
    subtype: "tuple[ArrayType, tuple[int, ...]] | None" = None
    names: tuple[str, ...] | None = None
    fields: "dict[str, tuple[ArrayType, int]]" = field(default_factory=dict)
    size: int = -1
    unit: tuple[object, ...] | None = None

    def __str__(self) -> str:
        kind, digits = self.code[:1], self.code[1:]
        if kind == "b":
            return "bool"
        if kind in KINDS and digits.isdecimal():
            return f"{KINDS[kind]}{8 * int(digits)}"
        return "object" if kind == "O" else self.code


@dataclass(slots=True, eq=False)
class Array:
    """A numpy array, or with `is_scalar` a numpy scalar; `data` are its bytes, or its objects where it holds such."""

    dtype: ArrayType = field(default_factory=lambda: ArrayType("u1"))
    shape: tuple[int, ...] = (0,)
    fortran: bool = False
    data: bytes | bytearray | list[object] = b""
    is_scalar: bool = False

    def __repr__(self) -> str:
        return f"<numpy {'scalar' if self.is_scalar else 'array'} {self.dtype} {list(self.shape)}>"


@dataclass(slots=True, eq=False)
class RandomState:
    """A random number generator of numpy: the names of its class and of its bit generator, and the state of that."""

    kind: str
    bits: str
    state: object = None


@dataclass(frozen=True, slots=True)
class NumpyName:
    """A class of numpy by its name, as in "float32" or "ndarray"."""

    name: str


def numpy_class(name: str) -> NumpyName:
    return NumpyName(name.rstrip("_"))


def empty_array(*_: object) -> Array:
    """`numpy.core.multiarray._reconstruct`: an empty array, whose contents come with BUILD."""
    return Array()


def set_array(made: Array, state: object) -> None:
    """(version, shape, dtype, is_fortran, data), in old files without the version."""
    given = items(state, 4, 5)[-4:]
    kind, data = given[1], given[3]
    if not isinstance(kind, ArrayType) or not isinstance(data, bytes | bytearray | str | list):
        raise Misfit("an array has no dtype or no data")
    made.shape, made.dtype, made.fortran = sizes(given[0]), kind, bool(given[2])
    made.data = data.encode() if isinstance(data, str) else data  # a Python 2 string that happens to be UTF-8


def array_from_buffer(data: object, kind: object, shape: object, order: object = "C") -> Array:
    """`numpy._core.numeric._frombuffer`, as protocol 5 spells arrays."""
    if not isinstance(kind, ArrayType) or not isinstance(data, bytes | bytearray):
        raise Misfit("an array has no dtype or no data")
    return Array(kind, sizes(shape), order == "F", data)


def array_scalar(kind: object, data: object = b"") -> Array:
    if not isinstance(kind, ArrayType):
        raise Misfit("a scalar has no dtype")
    if kind.code[:1] == "O":
        return Array(kind, (), data=[data], is_scalar=True)
    if not isinstance(data, bytes | bytearray | str):
        raise Misfit("a scalar has no data")
    return Array(kind, (), data=data.encode() if isinstance(data, str) else data, is_scalar=True)


def numpy_dtype(code: object, *_: object) -> ArrayType:
    if isinstance(code, NumpyName):
        return ArrayType(code.name)
    return ArrayType(text(code))


def set_numpy_dtype(made: ArrayType, state: object) -> None:
    """(version, byte order, subdtype, names, fields, size, alignment, flags[, metadata])."""
    given = items(state, 6, 7, 8, 9)
    made.order = text(given[1])
    if given[2] is not None:
        base, shape = items(given[2], 2)
        made.subtype = _array_type(base), sizes(shape) if isinstance(shape, tuple) else (place(shape),)
    if given[3] is not None:
        made.names = tuple(map(text, items(given[3])))
        fields = {text(name): items(value, 2, 3) for name, value in mapping(given[4]).items()}
        made.fields = {name: (_array_type(value[0]), place(value[1])) for name, value in fields.items()}
    made.size = place(given[5])
    if len(given) == 9 and isinstance(given[8], tuple) and len(given[8]) == 2:
        made.unit = items(given[8][1]) if isinstance(given[8][1], tuple) else None


def _array_type(value: object) -> ArrayType:
    if not isinstance(value, ArrayType):
        raise Misfit("something else stands where an array's dtype is expected")
    return value


def random_state(kind: str, bits: object = "MT19937", *_: object) -> RandomState:
    """A generator of numpy; its state comes with BUILD, in newer versions with its bit generator."""
    if isinstance(bits, RandomState):
        return bits if kind == "BitGenerator" else RandomState(kind, bits.bits, bits.state)
    name = bits.name if isinstance(bits, NumpyName) else text(bits)
    if name not in BIT_GENERATORS:
        raise Misfit(f"{name} is no bit generator of numpy")
    return RandomState(kind, name)


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


FUNCTIONS: tuple[Callable[..., object], ...] = (
    *(numpy_class, empty_array, set_array, array_from_buffer, array_scalar, numpy_dtype, set_numpy_dtype),
    *(random_state, seed_sequence, set_random_state),
)
"""What the allow list names."""
