"""What keeps a tensor from being written as the values that it has.

Rule: it is asked before a byte is written, so that what is left out can be named.
"""

from ptzip.errors import PtzipError
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import check_marks, span, storage_of


def no_values(tensor: Tensor) -> str:
    """Why the values of a tensor cannot be written one after the other, or ""."""
    try:
        first, last = span(tensor)
        check_repeats(tensor.nbytes, last - first)
    except PtzipError as error:
        return str(error)
    return no_bytes(tensor)


def no_bytes(tensor: Tensor) -> str:
    """Why the bytes that a tensor lies on cannot be written, or ""."""
    try:
        held = storage_of(tensor)
        _, last = span(tensor)
        check_marks(tensor)
        if last > held.checked_payload().length:
            return f"it reaches to byte {last} of storage {held.key}, which has {held.size}"
    except PtzipError as error:
        return str(error)
    return ""
