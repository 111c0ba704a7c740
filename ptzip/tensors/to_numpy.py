"""Tensors as numpy arrays and as plain bytes.

An array is a view of the bytes of its storage wherever numpy can express that. Copies are made only for bits that torch
resolves lazily (conjugate, negative), for packed values and for big-endian storages.
"""

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

import ml_dtypes  # noqa: F401 (numpy then knows bfloat16, float8 and float4)
import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, UnsupportedError
from ptzip.tensors.dtypes import BY_NAME, PACKED, DType
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import check_repeats, element_range

Bytes = npt.NDArray[np.uint8]

MOST_DIMENSIONS = 32
"""The dimensions that every version of numpy supports; torch supports 64."""

FLOAT4 = "float4_e2m1fn_x2"


class Described(Protocol):
    """The attributes of a `Tensor` that are used here; `tensor` imports this module, so this module cannot import it."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def stride(self) -> tuple[int, ...]: ...

    @property
    def offset(self) -> int: ...

    @property
    def storage(self) -> Storage | None: ...

    @property
    def layout(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def is_conj(self) -> bool: ...

    @property
    def is_neg(self) -> bool: ...

    @property
    def components(self) -> Mapping[str, Any]: ...

    @property
    def nbytes(self) -> int: ...


def values(tensor: Described) -> npt.NDArray[Any]:
    """The values of a tensor as an array. Raises as `Tensor.numpy` does."""
    storage, (first, last) = storage_of(tensor), span(tensor)
    return array_on(tensor, native(storage, first, last), first)


def on_bytes(tensor: Described, data: bytearray) -> npt.NDArray[Any]:
    """The values of a tensor whose storage has the little-endian bytes `data`."""
    return array_on(tensor, np.frombuffer(data, np.uint8), 0)


def tobytes(tensor: Described) -> bytes:
    """The values of a tensor in row-major order, little-endian. Raises as `Tensor.numpy` does."""
    storage, (first, last) = storage_of(tensor), span(tensor)
    return _packed(tensor, native(storage, first, last), first)


def storage_of(tensor: Described) -> Storage:
    """The storage of a strided tensor; raises UnsupportedError for any other."""
    if tensor.layout == "strided" and tensor.storage is not None:
        return tensor.storage
    kind = "without storage" if tensor.layout == "strided" else f"of layout {tensor.layout}"
    what = f"a tensor {'on device meta' if tensor.device == 'meta' else kind}"
    if tensor.components:
        raise UnsupportedError(f"{what} cannot be a numpy array; its {', '.join(tensor.components)} can")
    raise UnsupportedError(f"{what} has no values")


def check_form(tensor: Described) -> None:
    """Raise UnsupportedError where numpy cannot represent a tensor; nothing is read."""
    storage_of(tensor)
    if not dtype_of(tensor).numpy:
        raise UnsupportedError(f"numpy cannot represent {tensor.dtype}")


def span(tensor: Described) -> tuple[int, int]:
    """The bytes of its storage that a tensor uses, from the first to behind the last.

    Raises FormatError where its shape, strides and offset contradict one another or are negative.
    """
    if len(tensor.shape) != len(tensor.stride) or min((tensor.offset, *tensor.shape, *tensor.stride)) < 0:
        raise FormatError(f"a tensor of shape {tensor.shape} has strides {tensor.stride} and offset {tensor.offset}")
    if 0 in tensor.shape:
        return 0, 0
    if tensor.dtype in PACKED:
        per_byte = PACKED[tensor.dtype]
        if tensor.offset % per_byte or not is_contiguous(tensor):
            raise UnsupportedError(f"cannot read a {tensor.dtype} tensor that is not contiguous: its elements share bytes")
        first = tensor.offset // per_byte
        return first, first + tensor.nbytes
    (first, stop), item = element_range(tensor.offset, tensor.shape, tensor.stride), dtype_of(tensor).size
    return first * item, stop * item


def is_contiguous(tensor: Described) -> bool:
    """Whether the elements are in row-major order without gaps; the strides of dimensions of size 1 do not matter."""
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def dtype_of(tensor: Described) -> DType:
    """The row of the table of dtypes; raises UnsupportedError for an unknown dtype."""
    if tensor.dtype not in BY_NAME:
        raise UnsupportedError(f"tensors of dtype {tensor.dtype or 'unknown'} are not supported")
    return BY_NAME[tensor.dtype]


def native(storage: Storage, start: int, stop: int) -> Bytes:
    """Bytes `start` to `stop` of a storage in little-endian order, in a writable array.

    As in torch (`torch/serialization.py`, `load_tensor`), bytes are swapped by the dtype of the storage's class, complex
    numbers by their halves, and untyped storages not at all.
    """
    if not storage.big_endian or swapped_unit(storage) == 1:
        return _read(storage, start, stop)
    unit = swapped_unit(storage)
    first, last = start // unit * unit, -(-stop // unit) * unit
    swapped = np.frombuffer(storage.read(first, min(last, storage.size)), f"u{unit}").byteswap()
    return swapped.view(np.uint8)[start - first : stop - first]


def _read(storage: Storage, start: int, stop: int) -> Bytes:
    """Read chunk by chunk into one array: a storage may take half of the memory."""
    chunks = storage.chunks(start, stop)
    first = next(chunks, b"")  # before memory is taken: it raises where the bytes are missing
    data, at = np.empty(stop - start, np.uint8), 0
    for chunk in itertools.chain([first], chunks):
        data[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
        at += len(chunk)
    return data


def swapped_unit(storage: Storage) -> int:
    """The bytes of a number that is swapped as one where the storage is big-endian."""
    size = storage.dtype.size
    return size // 2 if storage.dtype.name.startswith("complex") else size


def array_on(tensor: Described, data: Bytes, start: int) -> npt.NDArray[Any]:
    """A tensor as an array on `data`, the bytes of its storage from byte `start`."""
    check_form(tensor)
    dtype = dtype_of(tensor)
    if tensor.is_conj or tensor.is_neg:
        return np.frombuffer(bytearray(_packed(tensor, data, start)), dtype.numpy).reshape(tensor.shape)
    if tensor.dtype == FLOAT4:
        return _unpacked(np.frombuffer(_packed(tensor, data, start), np.uint8).reshape(tensor.shape))
    return _view(tensor, data, start, np.dtype(dtype.numpy))


def _view(tensor: Described, data: Bytes, start: int, dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    if len(tensor.shape) > MOST_DIMENSIONS:
        raise UnsupportedError(f"a tensor has {len(tensor.shape)} dimensions, numpy supports {MOST_DIMENSIONS}")
    try:
        if 0 in tensor.shape:
            return np.empty(tensor.shape, dtype)
        strides = tuple(step * dtype.itemsize for step in tensor.stride)
        return np.ndarray(tensor.shape, dtype, data.data, tensor.offset * dtype.itemsize - start, strides)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"a tensor of shape {tensor.shape} does not fit its storage: {error}") from error


def _packed(tensor: Described, data: Bytes, start: int) -> bytes:
    """The values in row-major order, from `data`, the bytes of the storage from byte `start`."""
    first, last = span(tensor)
    if tensor.dtype in PACKED:
        return data[first - start : last - start].tobytes()
    check_repeats(tensor.nbytes, last - first)
    array = _view(tensor, data, start, np.dtype(f"V{dtype_of(tensor).size}"))
    return resolved(tensor, array.tobytes())


def resolved(tensor: Described, data: bytes) -> bytes:
    """The values with the tensor's conjugate and negative bits applied: sign bits of imaginary parts, or of all parts, flip."""
    if not tensor.is_conj and not tensor.is_neg:
        return data
    check_marks(tensor)
    is_complex = tensor.dtype.startswith("complex")
    unit = dtype_of(tensor).size // (2 if is_complex else 1)
    parts = np.frombuffer(bytearray(data), f"<u{unit}")
    sign = parts.dtype.type(1 << (8 * unit - 1))
    if tensor.is_neg:
        parts ^= sign
    if tensor.is_conj and is_complex:
        parts[1::2] ^= sign
    return parts.tobytes()


def check_marks(tensor: Described) -> None:
    """Raise UnsupportedError for a conjugate or negative bit on a dtype without signed floats."""
    if (tensor.is_conj or tensor.is_neg) and not tensor.dtype.startswith(("complex", "float", "bfloat")):
        raise UnsupportedError(f"a tensor of dtype {tensor.dtype} cannot be conjugated or negated")


def _unpacked(pairs: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Two float4 out of each byte, the low half first, along the last dimension."""
    shape = (*pairs.shape[:-1], 2 * pairs.shape[-1]) if pairs.ndim else (2,)
    flat = pairs.reshape(-1)  # numpy 1 makes int64 of an array without dimensions and a number
    nibbles = np.stack([flat & 0xF, flat >> 4], axis=-1)
    return nibbles.reshape(shape).view(BY_NAME[FLOAT4].numpy)


def elements(storage: Storage, data: Bytes) -> npt.NDArray[Any]:
    """A storage without a tensor as an array of its elements; as bytes where numpy cannot represent those."""
    is_usable = storage.dtype.numpy and len(data) % storage.dtype.size == 0
    return data.view(storage.dtype.numpy) if is_usable else data


def cast(data: npt.NDArray[Any], dtype: str) -> bytes:
    """Numbers cast to a dtype as torch's `Tensor.to` does, little-endian. Raises UnsupportedError for an unknown dtype."""
    target = BY_NAME.get(dtype)
    if target is None or not target.numpy or dtype == FLOAT4:
        raise UnsupportedError(f"an array cannot be cast to a tensor of dtype {dtype or 'unknown'}")
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(data).astype(target.numpy).tobytes()
