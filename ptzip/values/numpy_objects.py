"""numpy's own objects from the inert records of `rebuild_numpy`.

numpy gets a checked dtype, a shape and bytes, never a pickle or a name to look up.
"""

import re
from typing import Any

import ml_dtypes  # noqa: F401 (registers bfloat16 and float8 with numpy)
import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, UnsupportedError
from ptzip.values.rebuild_numpy import NumpyArray, NumpyClass, NumpyDtype, NumpyRandom

CODE = re.compile(
    r"[?bBhHiIlLqQefdgFDGO]|[biufcSUVaOMm]\d{1,9}|M8|m8|bool|u?int\d{1,2}|u?longlong|float\d{2}|complex\d{2,3}|bfloat16|str|bytes"
)
"""The type codes that numpy is given; it reads others as whole structures."""

DEEPEST_DTYPE = 32
"""How many dtypes may be nested in one another."""

MISTAKES = (ValueError, TypeError, OverflowError, KeyError)

MOST_POOL = 64
"""The largest pool of a seed sequence; numpy's own has 4 numbers."""

_GENERATORS = (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
BIT_GENERATORS: dict[str, Any] = {kind.__name__: kind for kind in _GENERATORS}


def to_array(value: NumpyArray) -> Any:
    """The array or scalar. Raises FormatError where the data does not fit the shape and the dtype."""
    try:
        array = _array(value, _dtype(value.dtype))
    except MISTAKES as error:
        raise FormatError(f"invalid numpy array of dtype {value.dtype} and shape {value.shape}: {error}") from error
    return array[()] if value.is_scalar else array


def _array(value: NumpyArray, dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    if isinstance(value.data, list):
        array = np.empty(len(value.data), dtype)
        for index, item in enumerate(value.data):  # one by one: numpy would take lists for more dimensions
            array[index] = item
        return array.reshape(value.shape)
    if dtype.hasobject:
        raise ValueError("its dtype is of objects, and its data are bytes")
    count = int(np.prod(value.shape, dtype=object)) if value.shape else 1
    if len(value.data) < count * dtype.itemsize or min(value.shape, default=0) < 0:
        raise ValueError(f"its data are {len(value.data)} bytes")
    data = bytearray(value.data) or bytearray(1)
    return np.ndarray(value.shape, dtype, data, strides=[dtype.itemsize * step for step in value.stride])


def to_dtype(value: NumpyDtype) -> "np.dtype[Any]":
    """The dtype. Raises UnsupportedError for one that numpy does not have."""
    try:
        return _dtype(value)
    except MISTAKES as error:
        raise UnsupportedError(f"numpy has no dtype {value}: {error}") from error


def _dtype(value: NumpyDtype, depth: int = 0) -> "np.dtype[Any]":
    if depth > DEEPEST_DTYPE:
        raise ValueError(f"more than {DEEPEST_DTYPE} dtypes are nested in one another")
    if value.names is not None:
        fields = [value.fields[name] for name in value.names]
        formats = [_dtype(kind, depth + 1) for kind, _ in fields]
        size = {} if value.size < 0 else {"itemsize": value.size}
        spec = {"names": list(value.names), "formats": formats, "offsets": [offset for _, offset in fields], **size}
        return np.dtype(spec)  # type: ignore[call-overload, no-any-return]
    if value.subtype is not None:
        return np.dtype((_dtype(value.subtype[0], depth + 1), value.subtype[1]))
    if not CODE.fullmatch(value.code):
        raise ValueError(f"{value.code!r} is no type code of numpy")
    native = np.dtype(value.code + (_unit(value) if value.code in ("M8", "m8") else ""))
    return native if value.order in ("=", "|") else native.newbyteorder(">" if value.order == ">" else "<")


def _unit(value: NumpyDtype) -> str:
    """The unit of a date or a duration, such as "[25s]"."""
    if value.unit is None or len(value.unit) < 2:
        return ""
    unit, count = value.unit[0], value.unit[1]
    name = unit.decode("latin1") if isinstance(unit, bytes) else str(unit)
    if not name.isalpha() or not isinstance(count, int):
        raise ValueError(f"{unit!r} is no unit of time")
    return f"[{count}{name}]" if name != "generic" else ""


def to_random(value: NumpyRandom) -> Any:
    """A random number generator in the state that was saved. Raises FormatError where that is no state of it."""
    if value.kind == "SeedSequence":
        return _seed_sequence(value.state)
    bits = BIT_GENERATORS[value.bits](0)
    old = np.random.RandomState(bits) if value.kind == "RandomState" else None
    try:
        if isinstance(value.state, dict) and old is not None:
            old.set_state(value.state)  # it keeps a second gaussian number, which the bit generator does not have
        elif isinstance(value.state, dict):
            bits.state = value.state
    except MISTAKES as error:
        raise FormatError(f"invalid state of a random number generator {value.bits}: {error}") from error
    return old or (bits if value.kind == "BitGenerator" else np.random.Generator(bits))


def _seed_sequence(state: object) -> Any:
    """From (entropy, children spawned, pool, size of the pool, key); the pool follows from the others."""
    if not isinstance(state, tuple):
        return np.random.SeedSequence(0)
    entropy, children, _, size, key = state
    try:
        return np.random.SeedSequence(entropy, spawn_key=key, pool_size=min(size, MOST_POOL), n_children_spawned=children)
    except MISTAKES as error:
        raise FormatError(f"invalid seed sequence of numpy: {error}") from error


def to_class(value: NumpyClass) -> Any:
    """A class of numpy by its name."""
    if value.name == "ndarray":
        return np.ndarray
    if value.name == "SeedSequence":
        return np.random.SeedSequence
    if value.name in BIT_GENERATORS:
        return BIT_GENERATORS[value.name]
    if not CODE.fullmatch(value.name):
        raise UnsupportedError(f"numpy.{value.name} is not supported")
    return np.dtype(value.name).type
