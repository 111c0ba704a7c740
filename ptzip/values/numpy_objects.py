"""numpy's own objects, made of what a pickle tells of them.

Rule: numpy is given a checked dtype, a shape and bytes, never a pickle or a name to look up.
"""

import re
from typing import Any

import ml_dtypes  # noqa: F401 (numpy then knows bfloat16 and float8)
import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, UnsupportedError
from ptzip.values.rebuild_numpy import Array, ArrayType, NumpyName, RandomState

CODE = re.compile(
    r"[?bBhHiIlLqQefdgFDGO]|[biufcSUVaOMm]\d{1,9}|M8|m8|bool|u?int\d{1,2}|u?longlong|float\d{2}|complex\d{2,3}|bfloat16|str|bytes"
)
"""The type codes that are made dtypes; numpy reads others as whole structures."""

DEEPEST_TYPE = 32
"""How deep dtypes may lie inside one another."""

MISTAKES = (ValueError, TypeError, OverflowError, KeyError)


def made(told: Array) -> Any:
    """The array or scalar. Raises FormatError where its data do not fit its shape and dtype."""
    try:
        array = _array(told, made_type(told.dtype))
    except MISTAKES as error:
        raise FormatError(f"a numpy array of dtype {told.dtype} and shape {told.shape} cannot be made: {error}") from error
    return array[()] if told.is_scalar else array


def _array(told: Array, dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    if isinstance(told.data, list):
        return _objects(told.data, told.shape, dtype)
    if dtype.hasobject:
        raise ValueError("it holds objects, and its data are bytes")
    count = int(np.prod(told.shape, dtype=object)) if told.shape else 1
    if len(told.data) < count * dtype.itemsize or min(told.shape, default=0) < 0:
        raise ValueError(f"its data are {len(told.data)} bytes")
    data = bytearray(told.data) or bytearray(1)
    return np.ndarray(told.shape, dtype, data, order="F" if told.fortran else "C")


def _objects(data: list[object], shape: tuple[int, ...], dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    """Objects are laid down one by one: numpy would look into lists for more dimensions."""
    array = np.empty(len(data), dtype)
    for place, value in enumerate(data):
        array[place] = value
    return array.reshape(shape)


def made_type(told: ArrayType, depth: int = 0) -> "np.dtype[Any]":
    """The dtype; raises ValueError for one that numpy does not have."""
    if depth > DEEPEST_TYPE:
        raise ValueError(f"dtypes lie more than {DEEPEST_TYPE} deep inside one another")
    if told.names is not None:
        fields = [told.fields[name] for name in told.names]
        formats = [made_type(kind, depth + 1) for kind, _ in fields]
        size = {} if told.size < 0 else {"itemsize": told.size}
        return np.dtype({"names": list(told.names), "formats": formats, "offsets": [at for _, at in fields], **size})  # type: ignore[call-overload,no-any-return]
    if told.subtype is not None:
        return np.dtype((made_type(told.subtype[0], depth + 1), told.subtype[1]))
    if not CODE.fullmatch(told.code):
        raise ValueError(f"{told.code!r} is no type code of numpy")
    unit = _unit(told) if told.code in ("M8", "m8") else ""
    plain = np.dtype(told.code + unit)
    return plain if told.order in ("=", "|") else plain.newbyteorder(">" if told.order == ">" else "<")


def _unit(told: ArrayType) -> str:
    """The unit of a date or a duration, as in "[25s]"."""
    if told.unit is None or len(told.unit) < 2:
        return ""
    unit, count = told.unit[0], told.unit[1]
    name = unit.decode("latin1") if isinstance(unit, bytes) else str(unit)
    if not name.isalpha() or not isinstance(count, int):
        raise ValueError(f"{unit!r} is no unit of time")
    return f"[{count}{name}]" if name != "generic" else ""


BIT_GENERATORS: dict[str, Any] = {
    "MT19937": np.random.MT19937,
    "PCG64": np.random.PCG64,
    "PCG64DXSM": np.random.PCG64DXSM,
    "Philox": np.random.Philox,
    "SFC64": np.random.SFC64,
}


def made_random(told: RandomState) -> Any:
    """A random number generator in the state that was saved."""
    if told.kind == "SeedSequence":
        return _seeds(told.state)
    bits = BIT_GENERATORS[told.bits](0)
    old = np.random.RandomState(bits) if told.kind == "RandomState" else None
    try:
        if isinstance(told.state, dict) and old is not None:
            old.set_state(told.state)  # it keeps a number for later, which its bit generator does not know of
        elif isinstance(told.state, dict):
            bits.state = told.state
    except MISTAKES as error:
        raise FormatError(f"the state of a random number generator {told.bits} cannot be set: {error}") from error
    return old or (bits if told.kind == "BitGenerator" else np.random.Generator(bits))


def _seeds(state: object) -> Any:
    """A seed sequence: (entropy, children, pool, size of the pool, key); the pool follows from the others."""
    if not isinstance(state, tuple):
        return np.random.SeedSequence(0)
    entropy, children, _, size, key = state
    try:
        return np.random.SeedSequence(entropy, spawn_key=key, pool_size=min(size, MOST_POOL), n_children_spawned=children)
    except MISTAKES as error:
        raise FormatError(f"a seed sequence of numpy cannot be made: {error}") from error


MOST_POOL = 64
"""numpy takes 4 numbers."""


def made_name(told: NumpyName) -> Any:
    """A class of numpy."""
    if told.name == "ndarray":
        return np.ndarray
    if told.name == "SeedSequence":
        return np.random.SeedSequence
    if told.name in BIT_GENERATORS:
        return BIT_GENERATORS[told.name]
    if not CODE.fullmatch(told.name):
        raise UnsupportedError(f"numpy.{told.name} is not known")
    return np.dtype(told.name).type
