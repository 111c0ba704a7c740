"""Arrays of numpy: the header of a `.npy`, and the records of an `.npz` as tensors.

A header is the text of a dict. numpy reads it for tensors, never as a pickle; arrays of objects, whose data are a pickle, have
no values here. A scan starts without numpy, and looks only for where the data begin.
"""

import io
import math
import re
from typing import TYPE_CHECKING

from ptzip.errors import FormatError
from ptzip.io.payloads import CheckedPayload, SlicePayload
from ptzip.io.sources import Source
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import contiguous, is_countable

if TYPE_CHECKING:
    import numpy as np

    from ptzip.tensors.tensor import Tensor

HEAD = 1 << 14
"""The longest header that numpy accepts, in bytes."""

FIXED = 8
"""The bytes of magic and version (`numpy/lib/format.py`)."""

OBJECTS = re.compile(rb"""['"][|<>=]?O\d*['"]""")
"""A dtype of objects."""


def data_start(source: Source) -> tuple[int, bool]:
    """The offset of the data of a `.npy`, and whether they are a pickle. Raises FormatError where the header is cut off."""
    head = source.read(0, min(source.size, FIXED + 4))
    start = FIXED + (2 if head[6:7] == b"\x01" else 4)
    length = int.from_bytes(head[FIXED:start], "little")
    if start + length > source.size:
        raise FormatError("the header of the numpy array is cut off", FIXED)
    return start + length, bool(OBJECTS.search(source.read(start, length)))


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
