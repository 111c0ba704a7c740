"""The header of a safetensors file, checked as the library checks it, and more strictly where that ignores what nobody writes.

Source: `safetensors/src/tensor.rs`, `SafeTensors::read_metadata` and `Metadata::validate`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ptzip.errors import FormatError, LimitError
from ptzip.formats.safetensors import BITS
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.sources import Source

LONGEST = 100_000_000
"""Bytes of a header, `MAX_HEADER_SIZE`."""

MOST_PARTS = 1 << 21
"""Brackets and commas: each may take a hundred bytes once it is parsed."""

METADATA = "__metadata__"
KEY, COLON = re.compile(r'[\s{,]*(?=")'), re.compile(r"\s*:\s*")
"""What is before a key of an object in JSON, and between the key and its value."""

FIELDS = {"dtype", "shape", "data_offsets"}

MOST_DIMENSIONS = 64
LARGEST_DIMENSION = 1 << 48
MOST_COUNTED = (1 << 64) - 1
"""`usize::MAX`, beyond which a size overflows."""


class TensorSpan(NamedTuple):
    """The data of a tensor, from one byte to another, counted from the end of the header."""

    start: int
    end: int
    name: str


class Header(NamedTuple):
    """What a header says; tensors with faults have no span. The data begin at byte `start`; `texts` are the metadata."""

    start: int
    names: list[str]
    spans: list[TensorSpan]
    texts: list[str]
    faults: list[str]


def read_header(source: Source) -> Header:
    """Read and check the header. Raises FormatError where it is no JSON object, LimitError where it is too long."""
    size = SAFETENSORS_LENGTH.size
    (length,) = SAFETENSORS_LENGTH.unpack(source.read(0, size))
    if length > LONGEST:
        raise LimitError(f"the safetensors header has {length:,} bytes, but safetensors reads at most {LONGEST:,}")
    faults = list[str]()
    header = _parsed(source.read(size, length), faults)
    metadata = header.pop(METADATA, None)
    values = list(metadata.values()) if isinstance(metadata, dict) else [] if metadata is None else [metadata]
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values) or not isinstance(metadata, dict | None):
        faults.append("the metadata are not texts by name")
    spans = list[TensorSpan]()
    for name, info in header.items():
        found = [f"tensor {name} {fault}" for fault in _faults(info)]
        faults += found
        if not found:
            spans.append(TensorSpan(info["data_offsets"][0], info["data_offsets"][1], name))
    spans.sort()
    faults += _misplaced(spans)
    return Header(size + length, [*header], spans, texts, faults)


def metadata_text(source: Source) -> str | None:
    """The metadata of a header that the library accepted, as they are spelled there; None where there are none."""
    (length,) = SAFETENSORS_LENGTH.unpack(source.read(0, SAFETENSORS_LENGTH.size))
    header, decoder, at = source.read(SAFETENSORS_LENGTH.size, length).decode(), json.JSONDecoder(), 0
    while key := KEY.match(header, at):
        name, end = decoder.raw_decode(header, key.end())
        begin = COLON.match(header, end)
        assert begin is not None, "the library accepted the header"
        _, at = decoder.raw_decode(header, begin.end())
        if name == METADATA:
            return header[begin.end() : at]
    return None


def _parsed(data: bytes, faults: list[str]) -> dict[str, Any]:
    """The JSON object; names that occur twice are faults."""
    parts = sum(data.count(bracket) for bracket in b"[{,")
    if parts > MOST_PARTS:
        raise LimitError(f"the safetensors header has {parts:,} parts, more than the limit of {MOST_PARTS:,}")

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            faults.append("a name occurs twice in the header, so readers differ")
        return found

    try:
        header = json.loads(data.decode(), object_pairs_hook=checked, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the safetensors header is not valid: {error}", SAFETENSORS_LENGTH.size) from error
    if not isinstance(header, dict):
        raise FormatError("the safetensors header is not an object", SAFETENSORS_LENGTH.size)
    return header


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _faults(info: Any) -> Iterator[str]:
    """What is wrong with the entry of one tensor, to follow its name."""
    if not isinstance(info, dict) or info.keys() != FIELDS:
        yield "does not have exactly a dtype, a shape and offsets"
        return
    dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        yield "has a shape or offsets that are not sizes"
    elif not isinstance(dtype, str) or dtype not in BITS:
        yield f"has the unknown dtype {dtype!r:.40}"
    elif len(shape) > MOST_DIMENSIONS or any(size > LARGEST_DIMENSION for size in shape):
        yield "has an impossible shape"
    else:
        yield from _wrong_size(shape, BITS[dtype], offsets[1] - offsets[0])


def _are_sizes(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(number) is int and 0 <= number <= MOST_COUNTED for number in numbers)


def _wrong_size(shape: list[int], bits: int, size: int) -> Iterator[str]:
    count = 1
    for dimension in shape:
        count *= dimension
        if count > MOST_COUNTED:  # here, since a later dimension may be 0
            break
    if count * bits > MOST_COUNTED or count * bits % 8 or count * bits // 8 != size:
        yield f"has {size:,} bytes, which is not what its shape and dtype take"


def _misplaced(spans: list[TensorSpan]) -> Iterator[str]:
    """Tensors that overlap, or have bytes between them."""
    end = 0
    for span in spans:
        if span.start != end:
            what = "overlaps the one before it" if span.start < end else f"follows {span.start - end:,} bytes of no tensor"
            yield f"tensor {span.name} {what}"
        end = max(end, span.end)
