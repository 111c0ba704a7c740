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
from ptzip.tensors.dtypes import BY_NAME, BYTES
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import Tensor

DTYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool", "C64": "complex64"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8"},
    **{"U16": "uint16", "U32": "uint32", "U64": "uint64"},
    **{"F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E4M3FNUZ": "float8_e4m3fnuz"},
}
"""The dtypes of the format by torch's names (`safetensors/torch.py`, `_TYPES`)."""

HALF_BYTES, PAIRS = "F4", "float4_e2m1fn_x2"
"""Two values of this lie in a byte, and torch counts the bytes."""

BITS = {HALF_BYTES: 4, "F6_E2M3": 6, "F6_E3M2": 6, **{name: 8 * BY_NAME[dtype].size for name, dtype in DTYPES.items()}}
"""How large an element is."""

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
        dtype, shape = PAIRS, (*shape[:-1], shape[-1] // 2)
    known = DTYPES.get(dtype, dtype)
    held = Storage(name, BY_NAME.get(known, BYTES), span.length, lambda: span)
    return Tensor(known, shape, contiguous(shape), storage=held)
