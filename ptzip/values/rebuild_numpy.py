"""numpy's arrays, scalars, dtypes and random generators as a pickle describes them: inert records without numpy.

`numpy_objects` turns them into numpy's own objects.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from ptzip.allowlist.numpy_checks import BIT_GENERATORS
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import contiguous
from ptzip.values.argument_types import Misfit, checked, count, items, mapping, misfit, sizes, text

KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
"""The letters of numpy's type codes whose names have a number of bits."""


@dataclass(slots=True, eq=False)
class NumpyDtype:
    """A numpy dtype: its code, such as "f4", and what its state says (`numpy/_core/src/multiarray/descriptor.c`)."""

    code: str
    order: str = "="
    subtype: "tuple[NumpyDtype, tuple[int, ...]] | None" = None
    names: tuple[str, ...] | None = None
    fields: "dict[str, tuple[NumpyDtype, int]]" = field(default_factory=dict)
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
class NumpyArray:
    """A numpy array, or with `is_scalar` a numpy scalar; `data` are its bytes, or its objects if the dtype is of objects.

    `axes` are the axes of an array in the order of C, by which this one is its transpose.
    """

    dtype: NumpyDtype = field(default_factory=lambda: NumpyDtype("u1"))
    shape: tuple[int, ...] = (0,)
    is_fortran: bool = False
    data: bytes | bytearray | list[object] = b""
    is_scalar: bool = False
    axes: tuple[int, ...] | None = None

    @property
    def stride(self) -> tuple[int, ...]:
        """In elements."""
        axes = self.axes
        if axes is None:
            return contiguous(self.shape[::-1])[::-1] if self.is_fortran else contiguous(self.shape)
        stored = contiguous(tuple(self.shape[axes.index(axis)] for axis in range(len(axes))))
        return tuple(stored[axis] for axis in axes)

    def __repr__(self) -> str:
        return f"<numpy {'scalar' if self.is_scalar else 'array'} {self.dtype} {list(self.shape)}>"

    @property
    def number(self) -> int | float | bool | None:
        """The number that a scalar is, without numpy; None for anything else."""
        dtype = BY_NAME.get(str(self.dtype)) if self.is_scalar and self.dtype.names is None else None
        if dtype is None or not dtype.struct or isinstance(self.data, list) or len(self.data) != dtype.size:
            return None
        found: int | float | bool = struct.unpack((">" if self.dtype.order == ">" else "<") + dtype.struct, self.data)[0]
        return found


@dataclass(slots=True, eq=False)
class NumpyRandom:
    """A random number generator of numpy: the names of its class and of its bit generator, and the state of the latter."""

    kind: str
    bits: str
    state: object = None


@dataclass(frozen=True, slots=True)
class NumpyClass:
    """A class of numpy by its name, such as "float32" or "ndarray"."""

    name: str


def numpy_class(name: str) -> NumpyClass:
    return NumpyClass(name.rstrip("_"))


def empty_array(*_: object) -> NumpyArray:
    """`numpy.core.multiarray._reconstruct`: an empty array, whose contents come with BUILD."""
    return NumpyArray()


_dtype = checked(NumpyDtype, "a dtype of numpy")


def set_array(array: NumpyArray, state: object) -> None:
    """(version, shape, dtype, is_fortran, data), in old files without the version."""
    shape, dtype, is_fortran, data = items(state, 4, 5)[-4:]
    if not isinstance(data, bytes | bytearray | str | list):
        raise misfit("the data of an array", data)
    array.shape, array.dtype, array.is_fortran = sizes(shape), _dtype(dtype), bool(is_fortran)
    array.data = data.encode() if isinstance(data, str) else data  # bytes of Python 2 that are valid UTF-8


def array_from_buffer(data: object, dtype: object, shape: object, order: object = "C", axes: object = None) -> NumpyArray:
    """`numpy._core.numeric._frombuffer`, by which protocol 5 stores arrays; numpy has the order "K" with axes since 2.4."""
    if not isinstance(data, bytes | bytearray):
        raise misfit("the data of an array", data)
    stored = sizes(shape)
    if order != "K" or axes is None:
        return NumpyArray(_dtype(dtype), stored, order == "F", data)
    permuted = sizes(axes)
    if sorted(permuted) != list(range(len(stored))):
        raise misfit("the axes of an array", axes)
    return NumpyArray(_dtype(dtype), tuple(stored[axis] for axis in permuted), data=data, axes=permuted)


def array_scalar(dtype: object, data: object = b"") -> NumpyArray:
    kind = _dtype(dtype)
    if kind.code[:1] == "O":
        return NumpyArray(kind, (), data=[data], is_scalar=True)
    if not isinstance(data, bytes | bytearray | str):
        raise misfit("the data of a scalar", data)
    return NumpyArray(kind, (), data=data.encode() if isinstance(data, str) else data, is_scalar=True)


def numpy_dtype(code: object, *_: object) -> NumpyDtype:
    return NumpyDtype(code.name if isinstance(code, NumpyClass) else text(code))


def string_dtype(*_: object) -> NumpyDtype:
    """`StringDType`, whose texts are stored as objects."""
    return NumpyDtype("O")


def set_numpy_dtype(dtype: NumpyDtype, state: object) -> None:
    """(version, byte order, subdtype, names, fields, size, alignment, flags[, metadata])."""
    given = items(state, 6, 7, 8, 9)
    dtype.order = text(given[1])
    if given[2] is not None:
        base, shape = items(given[2], 2)
        dtype.subtype = _dtype(base), sizes(shape) if isinstance(shape, tuple) else (count(shape),)
    if given[3] is not None:
        dtype.names = tuple(map(text, items(given[3])))
        fields = {text(name): items(value, 2, 3) for name, value in mapping(given[4]).items()}
        dtype.fields = {name: (_dtype(value[0]), count(value[1])) for name, value in fields.items()}
    dtype.size = count(given[5])
    if len(given) == 9 and isinstance(given[8], tuple) and len(given[8]) == 2:
        dtype.unit = items(given[8][1]) if isinstance(given[8][1], tuple) else None


def random_state(kind: str, bits: object = "MT19937", *_: object) -> NumpyRandom:
    """A generator of numpy; its state comes with BUILD, in newer versions with its bit generator."""
    if isinstance(bits, NumpyRandom):
        return bits if kind == "BitGenerator" else NumpyRandom(kind, bits.bits, bits.state)
    name = bits.name if isinstance(bits, NumpyClass) else text(bits)
    if name not in BIT_GENERATORS:
        raise Misfit(f"{name} is no bit generator of numpy")
    return NumpyRandom(kind, name)


def seed_sequence(*_: object) -> NumpyRandom:
    return NumpyRandom("SeedSequence", "")


def set_random_state(random: NumpyRandom, state: object) -> None:
    """A dict, or (dict, seed sequence), of which the dict is enough to continue; five items for a seed sequence."""
    if random.kind == "SeedSequence":
        random.state = items(state, 5)
        return
    found = state[0] if isinstance(state, tuple) and state else state
    if isinstance(found, dict):
        random.state = found


FUNCTIONS: tuple[Callable[..., object], ...] = (
    *(numpy_class, empty_array, set_array, array_from_buffer, array_scalar, numpy_dtype, string_dtype, set_numpy_dtype),
    *(random_state, seed_sequence, set_random_state),
)
"""What the allow list names."""
