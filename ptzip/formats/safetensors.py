"""safetensors: weights only, no pickle.

The safetensors library reads and checks the header, and that the tensors follow one another without gaps in the order of their
offsets; the offset of each follows from that. (For numpy the library would read only the dtypes that numpy itself has.)
"""

import contextlib
import functools
import math
from typing import TYPE_CHECKING, BinaryIO

from ptzip.errors import FormatError
from ptzip.formats.container import Member, Part
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.formats.torchzip import fresh_records
from ptzip.io.payloads import Payload, SourcePayload
from ptzip.io.sources import Source
from ptzip.io.system import temporary_path
from ptzip.limits import Limits
from ptzip.tensors.dtypes import BYTES, DTYPES
from ptzip.tensors.strides import contiguous
from ptzip.zip.writer import ALIGNMENT, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptzip.tensors.tensor import Tensor

HALF_BYTES, PAIRS = "F4", "float4_e2m1fn_x2"
"""A header counts these values, torch the bytes with two values each."""

CODES = {dtype.safetensors: dtype for dtype in DTYPES if dtype.safetensors}
BITS = {code: 8 * dtype.size for code, dtype in CODES.items()} | {HALF_BYTES: 4, "F6_E2M3": 6, "F6_E3M2": 6}
"""The size of one element of each dtype of the format."""

Entry = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape of a tensor in the header."""


def counted_shape(dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor in a header, which for float4 counts the values, where torch counts pairs."""
    return (*shape[:-1], 2 * shape[-1]) if dtype == PAIRS and shape else shape


class SafeTensors:
    """One such file; its tensors begin at byte `start`."""

    name = "safetensors"
    refusal = ""
    alignment = ALIGNMENT
    parts: tuple[Part, ...] = ()

    def __init__(self, source: Source, start: int) -> None:
        self.source = source
        self.start = start

    @property
    def members(self) -> tuple[Member, ...]:
        return Member("header", 0, self.start), Member("tensors", self.start, self.source.size - self.start)

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """A torch zip, for `--format zip`."""
        return fresh_records(pickle, storages)

    def tensors(self) -> "dict[str, Tensor]":
        """Every tensor by name, in the order of the file. Raises FormatError where the header is broken.

        A dtype that torch lacks keeps the format's name. Further names of a tensor, which huggingface_hub writes into the
        metadata, come last.
        """
        found = self.stored_tensors()
        return found | {name: found[kept] for name, kept in self.metadata().items() if kept in found and name not in found}

    def stored_tensors(self) -> "dict[str, Tensor]":
        """The same without further names."""
        return dict(_tensors(self.source, self.start, self.header[0]))

    def metadata(self) -> dict[str, str]:
        """The texts of the header by key. Raises FormatError where the header is broken."""
        return self.header[1]

    @functools.cached_property
    def header(self) -> tuple[list[Entry], dict[str, str]]:
        """The tensors in the order of the file, and the metadata. Raises FormatError where the header is broken."""
        from safetensors import SafetensorError, safe_open  # only what looks at tensors waits for the library

        try:
            with _path(self.source, self.start) as path, safe_open(path, framework="numpy") as opened:
                slices = [(name, opened.get_slice(name)) for name in opened.offset_keys()]
                entries = [(name, found.get_dtype(), tuple(found.get_shape())) for name, found in slices]
                return entries, opened.metadata() or {}
        except SafetensorError as error:
            raise FormatError(f"this is a safetensors file that is broken: {error}") from error


def read(source: Source, limits: Limits) -> SafeTensors:
    """Open the file. Raises FormatError where the header is longer than what is read into memory at once."""
    (length,) = SAFETENSORS_LENGTH.unpack(source.read(0, SAFETENSORS_LENGTH.size))
    if length > limits.pickle_bytes:
        raise FormatError(f"the safetensors header takes {length} bytes, more than the limit of {limits.pickle_bytes}")
    return SafeTensors(source, SAFETENSORS_LENGTH.size + length)


def _path(source: Source, start: int) -> contextlib.AbstractContextManager[str]:
    """A path for the library, which opens nothing else: that of a copy of the header, whose tensors are a hole.

    The library maps what it opens, and a file that another program cuts while it is mapped ends the process (SIGBUS).
    """

    def fill(file: BinaryIO) -> None:
        file.write(source.read(0, start))
        file.truncate(source.size)

    return temporary_path(fill)


def _tensors(source: Source, start: int, entries: list[Entry]) -> "Iterator[tuple[str, Tensor]]":
    for name, dtype, shape in entries:
        if dtype not in BITS:
            raise FormatError(f"tensor {name} has the unknown dtype {dtype}")
        size = math.prod(shape) * BITS[dtype] // 8
        yield name, _tensor(name, dtype, shape, SourcePayload(source, start, size))
        start += size


def _tensor(name: str, dtype: str, shape: tuple[int, ...], payload: SourcePayload) -> "Tensor":
    from ptzip.tensors.storage import Storage  # verify looks at the header alone, and starts without dataclasses
    from ptzip.tensors.tensor import Tensor

    known = CODES.get(dtype)
    if dtype == HALF_BYTES and known and shape:
        if shape[-1] % 2:
            known = None
        else:
            shape = (*shape[:-1], shape[-1] // 2)
    storage = Storage(name, known or BYTES, payload.length, lambda: payload)
    return Tensor(known.name if known else dtype, shape, contiguous(shape), storage=storage)
