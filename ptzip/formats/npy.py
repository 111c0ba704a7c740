"""Arrays of numpy: the header of a `.npy`, and the records of an `.npz` as tensors.

A header is the text of a dict. numpy reads it for tensors, never as a pickle; arrays of objects, whose data are a pickle, have
no values here. A scan starts without numpy, and reads only headers that are written as numpy writes them.
"""

import io
import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ptzip.errors import CutError, FormatError
from ptzip.formats.literals import parsed
from ptzip.formats.numpy_types import described, element_count
from ptzip.io.layouts import Layout
from ptzip.io.payloads import BytesPayload, CheckedPayload, JoinedPayload, SlicePayload
from ptzip.io.sources import Source
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import contiguous, is_countable

if TYPE_CHECKING:
    import numpy as np

    from ptzip.tensors.tensor import Tensor

HEAD = 1 << 14
"""The longest header that numpy accepts, in bytes."""

MAGIC = b"\x93NUMPY"
START = Layout("magic:6s major:B minor:B")
"""What precedes the length of the header (`numpy/lib/format.py`)."""

LENGTH2, LENGTH4 = struct.Struct("<H"), struct.Struct("<I")
VERSIONS = {(1, 0): (LENGTH2, "latin-1"), (2, 0): (LENGTH4, "latin-1"), (3, 0): (LENGTH4, "utf-8")}
"""The length of the header, and its encoding, by version (`numpy/lib/format.py`, `_header_size_info`)."""

FLOATS = frozenset(("float64", "float32", "float16", "complex128", "complex64"))
INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
NATIVE_DTYPES = FLOATS | INTEGERS | {"bool"}
"""The dtypes that numpy itself has: an array of any other is read back as raw bytes."""

LONGEST = 1 << 16
"""Bytes of a header that a scan parses."""


class ArrayLayout(NamedTuple):
    """Where the data of an array begin, and their size in bytes; None if they are objects, or not known to be numbers."""

    start: int
    size: int | None
    is_known: bool = True


def layout(source: Source) -> ArrayLayout:
    """How `numpy.load` reads a `.npy`. Raises FormatError where numpy refuses it before it reads the header."""
    version = tuple(source.read(0, min(source.size, START.size))[len(MAGIC) :])
    if version not in VERSIONS:
        raise FormatError(f"numpy does not know version {'.'.join(map(str, version))} of its arrays", len(MAGIC))
    counter, encoding = VERSIONS[version]
    (length,) = counter.unpack(source.read(START.size, counter.size))
    start = START.size + counter.size + length
    if start > source.size:
        raise CutError("the header of the numpy array is cut off", START.size)
    header = source.read(start - length, length).decode(encoding, "replace") if length <= LONGEST else ""
    return _data(start, _parsed(header))


def _data(start: int, header: Any) -> ArrayLayout:
    """The data by the dict in a header."""
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        return ArrayLayout(start, None, is_known=False)
    count, item = element_count(header["shape"]), described(header["descr"])
    if item is None or count is None or not isinstance(header["fortran_order"], bool):
        return ArrayLayout(start, None, is_known=False)
    return ArrayLayout(start, None if item.has_objects else item.size * count)


def _parsed(header: str) -> Any:
    """The value of a header; None if it is not as numpy writes it."""
    try:
        return parsed(header)
    except (ValueError, TypeError):
        return None


def written(tensor: "Tensor") -> JoinedPayload:
    """A `.npy` file with the values of a tensor, whose dtype is one of `NATIVE_DTYPES` (version 1.0)."""
    import numpy as np  # as above

    from ptzip.tensors.blocks import RowMajor  # as above

    descr = np.lib.format.dtype_to_descr(np.dtype(BY_NAME[tensor.dtype].numpy))
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": tensor.shape})
    return JoinedPayload((BytesPayload(stream.getvalue()), RowMajor(tensor)))


def tensor(name: str, record: CheckedPayload) -> "Tensor":
    """The array in a record of an npz, as a tensor of that name; only its header is read. Raises FormatError."""
    from ptzip.tensors.storage import Storage  # a scan starts without dataclasses
    from ptzip.tensors.tensor import Tensor

    shape, is_fortran, dtype, start = _header(record)
    if not is_countable(*shape):
        raise FormatError(f"{record.name} has the shape {shape}, which is more than there can be")
    if dtype.hasobject or dtype.newbyteorder("=").name not in BY_NAME:
        return Tensor(str(dtype), shape, contiguous(shape))
    known = BY_NAME[dtype.newbyteorder("=").name]
    size = math.prod(shape) * known.size
    if start + size != record.length:
        raise FormatError(f"{record.name} holds {record.length - start} bytes of values, expected {size}")
    is_big_endian = dtype.byteorder == ">"
    storage = Storage(name, known, size, lambda: SlicePayload(record, start, size), big_endian=is_big_endian)
    stride = contiguous(shape[::-1])[::-1] if is_fortran else contiguous(shape)
    return Tensor(known.name, shape, stride, storage=storage)


def _header(record: CheckedPayload) -> "tuple[tuple[int, ...], bool, np.dtype, int]":
    """Shape, whether the order is Fortran's, dtype, and the offset of the values (`numpy/lib/format.py`)."""
    import tokenize  # a scan starts without it

    import numpy as np  # as above

    head = b""
    for chunk in record.base.chunks(0, min(HEAD, record.length)):
        head += chunk
        if len(head) >= HEAD:  # a deflated record is inflated no further
            break
    stream = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, tokenize.TokenError) as error:
        raise FormatError(f"{record.name} is not an array of numpy: {error}") from error
    for _ in record.chunks(0, stream.tell()):
        pass  # so that its CRC is that of the whole record once the values have been read
    return tuple(map(int, shape)), is_fortran, dtype, stream.tell()
