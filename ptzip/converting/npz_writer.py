"""Writes `.npz`: a zip with one `.npy` file per tensor, as `numpy.savez` writes it.

Each array begins at an offset that can be mapped into memory. npz cannot share tensors: each name gets a copy.
"""

import io
from pathlib import Path

import numpy as np

from ptzip.converting.selection import Files, Tensors, values_unsupported
from ptzip.formats.zips import ARRAY
from ptzip.io.payloads import BytesPayload, JoinedPayload
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import MOST_DIMENSIONS
from ptzip.zip import writer
from ptzip.zip.writer import Record

FLOATS = frozenset(("float64", "float32", "float16", "complex128", "complex64"))
INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
NATIVE_DTYPES = FLOATS | INTEGERS | {"bool"}
"""The dtypes that numpy itself has: an array of any other is read back as raw bytes."""

LONGEST_NAME = 60_000
"""Characters. A zip has 65,535 bytes for an entry's name and its extra field."""


def unsupported(name: str, tensor: Tensor) -> str:
    """Why npz cannot represent a tensor, or ""."""
    if len(name) > LONGEST_NAME or len(tensor.shape) > MOST_DIMENSIONS:
        return f"npz has no room for a name of {len(name)} characters or a shape of {len(tensor.shape)} dimensions"
    if "\0" in name:
        return "its name contains a NUL, where zip readers end a name"
    return values_unsupported(tensor) or ("" if tensor.dtype in NATIVE_DTYPES else f"numpy has no dtype {tensor.dtype}")


def plan(tensors: Tensors, output: Path, max_shard_size: int | None) -> Files:
    """The file that holds the tensors."""
    records = [
        Record(f"{name}{ARRAY}", JoinedPayload((BytesPayload(_header(one)), RowMajor(one)))) for name, one in tensors.items()
    ]
    return {output: writer.plan(records)}


def _header(tensor: Tensor) -> bytes:
    """The header of a `.npy` file, version 1.0 (`numpy/lib/format.py`)."""
    descr = np.lib.format.dtype_to_descr(np.dtype(BY_NAME[tensor.dtype].numpy))
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": tensor.shape})
    return stream.getvalue()
