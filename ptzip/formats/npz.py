"""The arrays of an `.npz` as tensors, as numpy tells them.

Rule: numpy reads the header of each, which is text, never a pickle; arrays of objects, which are one, have no values here.
"""

import io
import math
import tokenize

import numpy as np

from ptzip.errors import FormatError
from ptzip.io.payloads import CheckedPayload, SlicePayload
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous, is_countable
from ptzip.tensors.tensor import Tensor

MISTAKES = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, tokenize.TokenError)
"""What numpy raises for a header that is none; it tries to mend one of Python 2 by its tokens."""

HEAD = 1 << 14
"""numpy takes no header that is longer."""


def tensor(name: str, record: CheckedPayload) -> Tensor:
    """The array in a record, as a tensor of that name; nothing but its header is read. Raises FormatError."""
    shape, is_fortran, dtype, start = _header(record)
    if not is_countable(*shape):
        raise FormatError(f"{record.name} is said to have the shape {shape}, which is more than there can be")
    if dtype.hasobject or dtype.newbyteorder("=").name not in BY_NAME:
        return Tensor(str(dtype), shape, contiguous(shape))
    known = BY_NAME[dtype.newbyteorder("=").name]
    size = math.prod(shape) * known.size
    if start + size != record.length:
        raise FormatError(f"{record.name} holds {record.length - start} bytes of values, expected {size}")
    is_foreign = dtype.byteorder == ">"
    held = Storage(name, known, size, lambda: SlicePayload(record, start, size), big_endian=is_foreign)
    stride = contiguous(shape[::-1])[::-1] if is_fortran else contiguous(shape)
    return Tensor(known.name, shape, stride, storage=held)


def _header(record: CheckedPayload) -> "tuple[tuple[int, ...], bool, np.dtype, int]":
    """Shape, order and dtype, and where the values begin (`numpy/lib/format.py`)."""
    stream = io.BytesIO(_head(record))
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
    except MISTAKES as error:
        raise FormatError(f"{record.name} is no array of numpy: {error}") from error
    for _ in record.chunks(0, stream.tell()):
        pass  # its CRC is then that of the whole record, once the values have passed
    return tuple(map(int, shape)), is_fortran, dtype, stream.tell()


def _head(record: CheckedPayload) -> bytes:
    """The first bytes, of a deflated record too, which is not read on behind them."""
    found = b""
    for chunk in record.base.chunks(0, min(HEAD, record.length)):
        found += chunk
        if len(found) >= HEAD:
            break
    return found
