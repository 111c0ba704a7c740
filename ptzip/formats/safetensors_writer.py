"""A new safetensors file: a length of 8 bytes, a JSON header of that length, and the bytes of all tensors.

As the library writes it (`safetensors/src/tensor.rs`, `prepare`), the largest elements come first, so that each tensor is
aligned to its own dtype, and the header is padded. Tensors of one size stay in the order in which they are given.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.formats.safetensors import BITS
from ptzip.formats.safetensors_header import METADATA
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.payloads import BytesPayload, Payload, SequentialFile

ALIGNMENT = 8
"""The header is padded with spaces to a multiple of this many bytes."""


class NewTensor(NamedTuple):
    """A tensor to be written: its dtype and shape as the header gives them, and its values in row-major order."""

    name: str
    code: str
    shape: tuple[int, ...]
    payload: Payload


def layout(tensors: Iterable[NewTensor], metadata: str | None) -> SequentialFile:
    """The file that holds the tensors; `metadata` is a JSON object of texts, None for a header without."""
    ordered = sorted(tensors, key=lambda tensor: -BITS[tensor.code])
    return SequentialFile((BytesPayload(_header(ordered, metadata)), *(tensor.payload for tensor in ordered)))


def _header(tensors: list[NewTensor], metadata: str | None) -> bytes:
    entries = [f"{_json(METADATA)}:{metadata}"] if metadata is not None else []
    start = 0
    for tensor in tensors:
        end = start + tensor.payload.length
        fields = {"dtype": tensor.code, "shape": tensor.shape, "data_offsets": (start, end)}
        entries.append(f"{_json(tensor.name)}:{_json(fields)}")
        start = end
    text = f"{{{','.join(entries)}}}".encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return SAFETENSORS_LENGTH.pack(len(text)) + text


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
