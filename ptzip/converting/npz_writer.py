"""Tensors to `.npz`: a zip with a `.npy` file for each, as `numpy.savez` writes it.

Rule: an array begins where it can be mapped into memory; names that are tied are written each, since npz knows no ties.
"""

import io
from pathlib import Path

import numpy as np

from ptzip.converting.output_file import File
from ptzip.converting.selection import Tensors
from ptzip.converting.unsupported import no_values
from ptzip.formats.foreign_zips import ARRAY
from ptzip.io.payloads import BytesPayload, JoinedPayload
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import MOST_DIMENSIONS
from ptzip.zip import writer
from ptzip.zip.writer import Record

SUFFIX = ".npz"

FLOATS = frozenset(("float64", "float32", "float16", "complex128", "complex64"))
INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
WRITTEN = FLOATS | INTEGERS | {"bool"}
"""The dtypes that numpy has itself: an array of another one is read as bytes without a meaning."""

LONGEST_NAME = 60_000
"""A zip has 65,535 bytes for a name and what stands beside it."""


def refusal(name: str, tensor: Tensor) -> str:
    """Why a tensor has no form in this format, or ""."""
    if len(name) > LONGEST_NAME or len(tensor.shape) > MOST_DIMENSIONS:
        return f"its name or its shape is longer than npz takes: {len(name)} letters, {len(tensor.shape)} dimensions"
    if "\0" in name:
        return "its name holds a NUL, and what reads a zip goes no further"
    return no_values(tensor) or ("" if tensor.dtype in WRITTEN else f"numpy has no dtype {tensor.dtype} of its own")


def planned(tensors: Tensors, place: Path, largest: int | None) -> list[File]:
    """The file that holds the tensors."""
    records = [
        Record(f"{name}{ARRAY}", JoinedPayload((BytesPayload(_header(one)), RowMajor(one)))) for name, one in tensors.items()
    ]
    return [File(place, writer.plan(records))]


def _header(tensor: Tensor) -> bytes:
    """What stands in front of the values (`numpy/lib/format.py`, version 1.0)."""
    descr = np.lib.format.dtype_to_descr(np.dtype(BY_NAME[tensor.dtype].numpy))
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": tensor.shape})
    return stream.getvalue()
