"""Writes `.npz`: a zip with one `.npy` file per tensor, as `numpy.savez` writes it.

Each array begins at an offset that can be mapped into memory. npz cannot share tensors: each name gets a copy.
"""

from pathlib import Path

from ptzip.converting.selection import Files, Tensors, values_unsupported
from ptzip.formats import npy
from ptzip.formats.zips import ARRAY
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import MOST_DIMENSIONS
from ptzip.zip import writer
from ptzip.zip.writer import Record

LONGEST_NAME = 60_000
"""Characters. A zip has 65,535 bytes for an entry's name and its extra field."""


def unsupported(name: str, tensor: Tensor) -> str:
    """Why npz cannot represent a tensor, or ""."""
    if len(name) > LONGEST_NAME or len(tensor.shape) > MOST_DIMENSIONS:
        return f"npz has no room for a name of {len(name)} characters or a shape of {len(tensor.shape)} dimensions"
    if "\0" in name:
        return "its name contains a NUL, where zip readers end a name"
    return values_unsupported(tensor) or ("" if tensor.dtype in npy.NATIVE_DTYPES else f"numpy has no dtype {tensor.dtype}")


def plan(tensors: Tensors, output: Path, max_shard_size: int | None) -> Files:
    """The file that holds the tensors."""
    records = [Record(f"{name}{ARRAY}", npy.written(one)) for name, one in tensors.items()]
    return {output: writer.plan(records)}
