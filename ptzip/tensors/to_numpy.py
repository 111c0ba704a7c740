"""The bytes of tensors as numpy arrays.

Rule: an array is a view of the bytes of its storage wherever numpy can express that; only bits that torch resolves late
(conjugate, negative), packed values and foreign byte orders are worked on in a copy.
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
Span = tuple[int, int]

MOST_DIMENSIONS = 32
"""What every numpy takes; torch takes 64."""

FLOAT4 = "float4_e2m1fn_x2"


class Described(Protocol):
    """What is asked of a tensor; see `tensor.Tensor`."""

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
    """The values of a tensor, as an array of its own bytes."""
    held = storage_of(tensor)
    first, last = span(tensor)
    return shaped(tensor, native(held, first, last), first)


def contiguous(tensor: Described) -> bytes:
    """The values of a tensor one after the other, little-endian."""
    held = storage_of(tensor)
    first, last = span(tensor)
    return _packed(tensor, native(held, first, last), first)


def storage_of(tensor: Described) -> Storage:
    """The storage of a strided tensor; raises UnsupportedError for any other."""
    if tensor.layout == "strided" and tensor.storage is not None:
        return tensor.storage
    if tensor.components:
        raise UnsupportedError(f"{_kind(tensor)} has no numpy form; its {', '.join(tensor.components)} have")
    raise UnsupportedError(f"{_kind(tensor)} has no values")


def _kind(tensor: Described) -> str:
    if tensor.device == "meta":
        return "a tensor on device meta"
    return "a tensor without storage" if tensor.layout == "strided" else f"a tensor of layout {tensor.layout}"


def check_form(tensor: Described) -> None:
    """Raise UnsupportedError where numpy has no form for a tensor; nothing is read."""
    storage_of(tensor)
    if not row(tensor).numpy:
        raise UnsupportedError(f"numpy has no form for {tensor.dtype}")


def span(tensor: Described) -> Span:
    """The bytes of the storage from the first to behind the last that a tensor uses; raises FormatError for negative ones."""
    if len(tensor.shape) != len(tensor.stride) or min((tensor.offset, *tensor.shape, *tensor.stride)) < 0:
        raise FormatError(f"a tensor of shape {tensor.shape} has strides {tensor.stride} and offset {tensor.offset}")
    if 0 in tensor.shape:
        return 0, 0
    if tensor.dtype in PACKED:
        return _packed_span(tensor, PACKED[tensor.dtype])
    first, stop = element_range(tensor.offset, tensor.shape, tensor.stride)
    return first * row(tensor).size, stop * row(tensor).size


def _packed_span(tensor: Described, per_byte: int) -> Span:
    if tensor.offset % per_byte or not is_contiguous(tensor):
        raise UnsupportedError(f"a {tensor.dtype} tensor that is no contiguous one cannot be read: its elements share bytes")
    first = tensor.offset // per_byte
    return first, first + tensor.nbytes


def is_contiguous(tensor: Described) -> bool:
    """Whether the elements follow one another, the last dimension first."""
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def row(tensor: Described) -> DType:
    """The dtype's row of the table; raises UnsupportedError for one that is not there."""
    if tensor.dtype not in BY_NAME:
        raise UnsupportedError(f"tensors of dtype {tensor.dtype or 'unknown'} cannot be read")
    return BY_NAME[tensor.dtype]


def native(storage: Storage, start: int, stop: int) -> Bytes:
    """Some bytes of a storage in little-endian order, in an array that may be written to.

    torch swaps by the dtype of the storage's class, complex numbers by their halves, and untyped storages not at all
    (`torch/serialization.py`, `load_tensor`), so this does too.
    """
    if not storage.big_endian or swapped_unit(storage) == 1:
        return _read(storage, start, stop)
    unit = swapped_unit(storage)
    first, last = start // unit * unit, -(-stop // unit) * unit
    swapped = np.frombuffer(storage.read(first, min(last, storage.size)), f"u{unit}").byteswap()
    return swapped.view(np.uint8)[start - first : stop - first]


def _read(storage: Storage, start: int, stop: int) -> Bytes:
    """The bytes in an array of their own, piece by piece: a storage may be half of the memory."""
    chunks = storage.chunks(start, stop)
    first = next(chunks, b"")  # before memory is taken: it tells whether the bytes are there
    data, at = np.empty(stop - start, np.uint8), 0
    for chunk in itertools.chain([first], chunks):
        data[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
        at += len(chunk)
    return data


def swapped_unit(storage: Storage) -> int:
    """How many bytes are turned around at once where the byte order is foreign."""
    size = storage.dtype.size
    return size // 2 if storage.dtype.name.startswith("complex") else size


def shaped(tensor: Described, data: Bytes, start: int) -> npt.NDArray[Any]:
    """The array that a tensor is on the bytes of its storage, of which `data` are those from byte `start`."""
    check_form(tensor)
    dtype = row(tensor)
    if tensor.is_conj or tensor.is_neg:
        return np.frombuffer(bytearray(_packed(tensor, data, start)), dtype.numpy).reshape(tensor.shape)
    if tensor.dtype == FLOAT4:
        return _unpacked(np.frombuffer(_packed(tensor, data, start), np.uint8).reshape(tensor.shape))
    return _view(tensor, data, start, np.dtype(dtype.numpy))


def _view(tensor: Described, data: Bytes, start: int, dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    if len(tensor.shape) > MOST_DIMENSIONS:
        raise UnsupportedError(f"a tensor has {len(tensor.shape)} dimensions, and numpy takes {MOST_DIMENSIONS}")
    try:
        if 0 in tensor.shape:
            return np.empty(tensor.shape, dtype)
        strides = tuple(step * dtype.itemsize for step in tensor.stride)
        return np.ndarray(tensor.shape, dtype, data.data, tensor.offset * dtype.itemsize - start, strides)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"a tensor of shape {tensor.shape} does not fit its storage: {error}") from error


def _packed(tensor: Described, data: Bytes, start: int) -> bytes:
    """The values one after the other, from the bytes of the storage from `start`."""
    first, last = span(tensor)
    if tensor.dtype in PACKED:
        return data[first - start : last - start].tobytes()
    check_repeats(tensor.nbytes, last - first)
    array = _view(tensor, data, start, np.dtype(f"V{row(tensor).size}"))
    return resolved(tensor, array.tobytes())


def resolved(tensor: Described, data: bytes) -> bytes:
    """Conjugated and negated where the tensor says so: the sign bit of the imaginary parts, and of all, is turned."""
    if not tensor.is_conj and not tensor.is_neg:
        return data
    check_marks(tensor)
    is_complex = tensor.dtype.startswith("complex")
    unit = row(tensor).size // (2 if is_complex else 1)
    parts = np.frombuffer(bytearray(data), f"<u{unit}")
    sign = parts.dtype.type(1 << (8 * unit - 1))
    if tensor.is_neg:
        parts ^= sign
    if tensor.is_conj and is_complex:
        parts[1::2] ^= sign
    return parts.tobytes()


def check_marks(tensor: Described) -> None:
    """Raise UnsupportedError where a tensor is conjugated or negated whose numbers cannot be."""
    if (tensor.is_conj or tensor.is_neg) and not tensor.dtype.startswith(("complex", "float", "bfloat")):
        raise UnsupportedError(f"a tensor of dtype {tensor.dtype} cannot be conjugated or negated")


def _unpacked(pairs: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Two float4 from each byte, the low half first, along the last dimension."""
    shape = (*pairs.shape[:-1], 2 * pairs.shape[-1]) if pairs.ndim else (2,)
    nibbles = np.stack([pairs & 0xF, pairs >> 4], axis=-1)
    return nibbles.reshape(shape).view(BY_NAME[FLOAT4].numpy)


def whole(storage: Storage) -> Bytes:
    """All bytes of a storage, little-endian, writable."""
    return native(storage, 0, storage.size)


def elements(storage: Storage, data: Bytes) -> npt.NDArray[Any]:
    """A storage that stands for itself, as an array of its elements; as bytes where numpy has no form for them."""
    usable = storage.dtype.numpy and len(data) % storage.dtype.size == 0
    return data.view(storage.dtype.numpy) if usable else data


def cast(data: npt.NDArray[Any], dtype: str) -> bytes:
    """Numbers as another dtype, little-endian, as `Tensor.to` turns them."""
    target = BY_NAME.get(dtype)
    if target is None or not target.numpy or dtype == FLOAT4:
        raise UnsupportedError(f"an array cannot be made a tensor of dtype {dtype or 'unknown'}")
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(data).astype(target.numpy).tobytes()


def packed(data: bytes, item: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The elements of a strided view, each of `item` bytes, without what lies between them."""
    elements = np.frombuffer(data, f"V{item}")
    return np.lib.stride_tricks.as_strided(elements, shape, [step * item for step in stride]).tobytes()
