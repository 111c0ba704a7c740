"""The tensors of a safetensors file, as the safetensors library tells them.

Rule: the library checks the header, and that the tensors lie one after the other without a gap, in the order of their
offsets; where each begins follows from that. (It would read bytes for numpy only of the dtypes that numpy itself has.)
"""

import math
from collections.abc import Iterator

from safetensors import SafetensorError, safe_open

from ptzip.errors import FormatError
from ptzip.io.payloads import SourcePayload
from ptzip.io.sources import FileSource
from ptzip.tensors.dtypes import BYTES, DTYPES
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import Tensor

HALF_BYTES, PAIRS = "F4", "float4_e2m1fn_x2"
"""A header counts these values, torch the bytes with two values each."""

CODES = {dtype.safetensors: dtype for dtype in DTYPES if dtype.safetensors}
BITS = {code: 8 * dtype.size for code, dtype in CODES.items()} | {HALF_BYTES: 4, "F6_E2M3": 6, "F6_E3M2": 6}
"""The size of one element of each dtype of the format."""

Told = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape of a tensor, as the library tells them."""


def tensors(source: FileSource, start: int) -> dict[str, Tensor]:
    """Every tensor of the file by name, in the order of the file. Raises FormatError where it is broken.

    `start` is where the tensors begin. One of a dtype that torch does not have is told by the name that it has there. Other
    names of a tensor, which huggingface_hub writes into the metadata, come last.
    """
    told, texts = _told(source.path)
    found = dict(_tensors(source, start, told))
    return found | {name: found[kept] for name, kept in texts.items() if kept in found and name not in found}


def metadata(source: FileSource) -> dict[str, str]:
    """The texts of the header by key. Raises FormatError where it is broken."""
    return _told(source.path)[1]


def _told(path: str) -> tuple[list[Told], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as opened:
            slices = [(name, opened.get_slice(name)) for name in opened.offset_keys()]
            return [(name, found.get_dtype(), tuple(found.get_shape())) for name, found in slices], opened.metadata() or {}
    except SafetensorError as error:
        raise FormatError(f"this is a safetensors file that is broken: {error}") from error


def _tensors(source: FileSource, start: int, told: list[Told]) -> Iterator[tuple[str, Tensor]]:
    for name, dtype, shape in told:
        if dtype not in BITS:
            raise FormatError(f"tensor {name} is of dtype {dtype}, whose size is not known")
        size = math.prod(shape) * BITS[dtype] // 8
        yield name, _tensor(name, dtype, shape, SourcePayload(source, start, size))
        start += size


def _tensor(name: str, dtype: str, shape: tuple[int, ...], span: SourcePayload) -> Tensor:
    if dtype == HALF_BYTES and shape and shape[-1] % 2 == 0:
        shape = (*shape[:-1], shape[-1] // 2)
    elif dtype == HALF_BYTES:
        return Tensor(dtype, shape, contiguous(shape), storage=Storage(name, BYTES, span.length, lambda: span))
    known = CODES.get(dtype)
    held = Storage(name, known or BYTES, span.length, lambda: span)
    return Tensor(known.name if known else dtype, shape, contiguous(shape), storage=held)
