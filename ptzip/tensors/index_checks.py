"""Whether the indices of a tensor stay inside the tensors that it consists of.

torch does not check that when it loads sparse, nested and quantized tensors (`torch.sparse.check_sparse_tensor_invariants` is
off by default, `_nested_view_from_buffer` trusts its offsets), and the kernels that use them read and write whatever memory the
indices lead to. The conditions are those of torch's own checks, which are `_validate_sparse_coo_tensor_args` of
`aten/src/ATen/native/sparse/SparseTensor.cpp`, `_validate_sparse_compressed_tensor_args_worker` of
`aten/src/ATen/native/sparse/SparseCsrTensor.cpp` and `_rebuild_qtensor` of `torch/_utils.py`.

Indices are read in chunks. numpy is loaded, so this module is imported only for files that have such tensors.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ptzip.errors import FormatError, LimitError
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import span
from ptzip.tensors.torch_names import COMPRESSED_ROWS, NESTED_TENSOR, SPARSE_COMPONENTS

Integers = npt.NDArray[Any]

CHUNK = 1 << 20
"""How many indices are read at once."""

SLICE_COST = 1 << 9
"""What reading one slice counts in bytes, however short it is."""

READ_OFTEN, READ_ALWAYS = 4, 1 << 24
"""Together, checks read each storage so many times, and so many bytes more: many tensors may refer to one storage."""

INTEGERS = ("int32", "int64")


class IndexChecks:
    """Checks of the tensors of one file; sparse tensors with the same indices and shape are checked once."""

    def __init__(self) -> None:
        self.left = READ_ALWAYS
        self.known = set[object]()
        self.storages: dict[int, Storage] = {}
        """The storages that were read, by identity: they must not be freed."""

    def check(self, tensor: Tensor) -> None:
        """Raise FormatError where indices are out of range, LimitError where too much would be read to see it.

        Raises UnsupportedError where the indices have no values.
        """
        _require(tensor.class_path != NESTED_TENSOR or tensor.layout == "jagged", "the class of jagged tensors, and is none")
        is_wrapper = tensor.layout in SPARSE_COMPONENTS and tuple(tensor.components) != SPARSE_COMPONENTS[tensor.layout]
        key = _key(tensor)
        if is_wrapper or key in self.known:
            return
        for part in tensor.components.values():
            self._allow(part.storage)
        CHECKS.get(tensor.layout, IndexChecks._quantized)(self, tensor)
        self.known.add(key)

    def _allow(self, storage: Storage | None) -> None:
        """Let a storage be read."""
        while storage is not None and id(storage) not in self.storages:
            self.storages[id(storage)] = storage
            self.left += READ_OFTEN * storage.size if storage.base is None else 0
            storage = storage.base

    def _coo(self, tensor: Tensor) -> None:
        indices, values = _parts(tensor)
        _require(indices.dtype == "int64" and len(indices.shape) == 2, "indices of another form")
        axes, count = indices.shape
        _require(values.shape == (count, *tensor.shape[axes:]) and axes <= len(tensor.shape), "values of another shape")
        sizes, last = np.array(tensor.shape[:axes], np.int64).reshape(axes, 1), np.empty((axes, 0), np.int64)
        if axes == 0:
            _require(not tensor.is_coalesced or count <= 1, "coalesced indices that repeat")
        for chunk in self._read(indices, axis=1, step=max(CHUNK // axes, 1)) if axes else ():
            _require(bool(((chunk >= 0) & (chunk < sizes)).all()), "an index out of range")
            ordered = np.concatenate([last, chunk], axis=1)
            _require(not tensor.is_coalesced or _increases(ordered), "coalesced indices out of order")
            last = chunk[:, -1:]

    def _compressed(self, tensor: Tensor) -> None:
        """CSR, CSC and their blocked forms; the first dimensions may be a batch, the last dense."""
        compressed, plain, values = _parts(tensor)
        _require(compressed.dtype == plain.dtype and plain.dtype in INTEGERS, "indices of another form")
        _require(len(compressed.shape) == len(plain.shape) >= 1, "indices of another form")
        *batch, slices = compressed.shape
        *other, count = plain.shape
        blocks = 2 if tensor.layout in ("sparse_bsr", "sparse_bsc") else 0
        dense = len(batch) + 1 + blocks
        _require(len(tensor.shape) >= len(batch) + 2 and len(values.shape) >= dense, "too few dimensions")
        matrix, block = tensor.shape[len(batch) : len(batch) + 2], values.shape[len(batch) + 1 : dense] or (1, 1)
        expected = (*batch, count, *values.shape[len(batch) + 1 : dense], *tensor.shape[len(batch) + 2 :])
        _require(other == batch and values.shape == expected, "values of another shape")
        _require(tensor.shape[: len(batch)] == tuple(batch), "a batch of another shape")
        _require(min(block) > 0 and not any(size % step for size, step in zip(matrix, block, strict=True)), "odd blocks")
        rows, columns = (size // step for size, step in zip(matrix, block, strict=True))
        along, across = (rows, columns) if tensor.layout in COMPRESSED_ROWS else (columns, rows)
        _require(slices == along + 1, "another number of slices")
        for number in range(math.prod(batch)):
            self._slices(compressed, plain, tuple(map(int, np.unravel_index(number, batch))), across)

    def _slices(self, compressed: Tensor, plain: Tensor, at: tuple[int, ...], across: int) -> None:
        """One matrix: `compressed` are the borders of slices of `plain`, whose indices increase inside each slice."""
        count = plain.shape[-1]
        borders = np.concatenate(list(self._read(compressed, at)))
        _require(bool(borders[0] == 0 and borders[-1] == count), "slices that do not cover the indices")
        _require(bool(((borders >= 0) & (borders <= count)).all()), "a slice out of range")
        lengths = np.diff(borders)
        _require(bool(((lengths >= 0) & (lengths <= across)).all()), "a slice of impossible length")
        start, last = 0, np.empty(0, borders.dtype)
        for chunk in self._read(plain, at) if count else ():
            _require(bool(((chunk >= 0) & (chunk < across)).all()), "an index out of range")
            joined, first = np.concatenate([last, chunk]), start - len(last)
            rises = np.diff(joined) > 0
            inside = borders[np.searchsorted(borders, first, "right") : np.searchsorted(borders, first + len(joined), "left")]
            rises[inside - first - 1] = True
            _require(bool(rises.all()), "indices out of order")
            start, last = start + len(chunk), chunk[-1:]

    def _nested(self, tensor: Tensor) -> None:
        """Tensors in one buffer, each with a row of sizes, a row of strides and an offset, in elements."""
        buffer, sizes, strides, offsets = _parts(tensor)
        if offsets.shape == (0,) and sizes.numel <= 1:  # no tensors: torch then has sizes of dtype float32
            return
        _require(all(part.dtype == "int64" for part in (sizes, strides, offsets)), "sizes of another form")
        _require(len(sizes.shape) == 2 and sizes.shape == strides.shape, "sizes of another shape")
        _require(offsets.shape == sizes.shape[:1], "offsets of another shape")
        step = max(CHUNK // max(sizes.shape[1], 1), 1)
        for shape, steps, starts in zip(*(self._read(part, step=step) for part in (sizes, strides, offsets)), strict=True):
            _require(bool((shape >= 0).all() and (steps >= 0).all() and (starts >= 0).all()), "a negative size")
            used = (shape > 0).all(axis=1)  # a tensor without elements uses none of the buffer
            about = ((shape - 1.0) * steps).sum(axis=1) + starts  # floats do not overflow
            _require(bool((about[used] <= 2.0 * buffer.numel).all()), "a tensor past the end of its buffer")
            ends = ((shape - 1) * steps).sum(axis=1) + starts
            _require(bool((ends[used] < buffer.numel).all()), "a tensor past the end of its buffer")

    def _jagged(self, tensor: Tensor) -> None:
        """Rows of one dimension of `values`: those from one offset to the next, or as many as `lengths` says."""
        values, offsets, lengths = (tensor.components.get(name) for name in ("values", "offsets", "lengths"))
        replaced = [name for name in ("_values", "_offsets", "_lengths") if isinstance(tensor.attributes.get(name), Tensor)]
        _require(not replaced, "a state that replaces its offsets")
        ragged = tensor.attributes.get("_ragged_idx", tensor.axis)
        if values is None or offsets is None or not isinstance(ragged, int) or ragged != tensor.axis:
            raise FormatError("a jagged tensor without values and offsets")
        _require(1 <= ragged <= len(values.shape), "a dimension that it does not have")
        _require(offsets.dtype in INTEGERS and len(offsets.shape) == 1 and offsets.numel > 0, "offsets of another form")
        size, last = values.shape[ragged - 1], 0
        for chunk in self._read(offsets):
            _require(bool(((chunk >= 0) & (chunk <= size)).all()), "an offset out of range")
            _require(bool((np.diff(chunk, prepend=last) >= 0).all()), "offsets that decrease")
            last = chunk[-1]
        if lengths is not None:
            _require(lengths.dtype in INTEGERS and lengths.shape == (offsets.numel - 1,), "lengths of another form")
            for start, many in zip(self._read(offsets), self._read(lengths), strict=False):
                _require(bool(((many >= 0) & (many <= size - start[: len(many)])).all()), "a length out of range")

    def _quantized(self, tensor: Tensor) -> None:
        """A view of its storage (`set_storage_quantized_` of old torch does not check that), and for each channel a scale."""
        if not tensor.qscheme:
            return
        _require(tensor.storage is not None and span(tensor)[1] <= tensor.storage.size, "elements past its storage")
        if tensor.axis is None:
            return
        _require(0 <= tensor.axis < len(tensor.shape), "an axis that it does not have")
        expected = (tensor.shape[tensor.axis],)
        _require(all(part.shape == expected for part in tensor.components.values()), "another number of scales")

    def _read(self, tensor: Tensor, at: tuple[int, ...] = (), axis: int = 0, step: int = 0) -> Iterator[Integers]:
        """The values at index `at`, in chunks of `step` along one of the remaining dimensions; at least one chunk."""
        shape, before = tensor.shape[len(at) :], (*at, *(slice(None),) * axis)
        self.left -= math.prod(shape) * tensor.itemsize + SLICE_COST
        if self.left < 0:
            raise LimitError("too many indices, or the same ones too often")
        step, count = step or CHUNK, shape[axis]
        for start in range(0, max(count, 1), step):
            yield np.asarray(tensor[(*before, slice(start, min(start + step, count)))])


CHECKS = {
    "sparse_coo": IndexChecks._coo,
    **dict.fromkeys(SPARSE_COMPONENTS.keys() - {"sparse_coo"}, IndexChecks._compressed),
    "nested": IndexChecks._nested,
    "jagged": IndexChecks._jagged,
}
"""The check of each layout; a strided tensor may be quantized."""


def _require(is_so: bool, wrong: str) -> None:
    if not is_so:
        raise FormatError(f"a tensor has {wrong}")


def _parts(tensor: Tensor) -> list[Tensor]:
    """The components. The shape of one can be compared only if it is strided."""
    found = list(tensor.components.values())
    _require(all(part.layout == "strided" for part in found), "components that are not strided")
    return found


def _key(tensor: Tensor) -> object:
    """Everything that the check of a sparse tensor depends on; of the values that is the shape. Others equal no tensor."""
    if tensor.layout not in SPARSE_COMPONENTS:
        return object()
    *indices, values = tensor.components.values() or [tensor]
    read = tuple((id(part.storage), part.layout, part.dtype, part.offset, part.shape, part.stride) for part in indices)
    return tensor.layout, tensor.shape, tensor.is_coalesced, values.layout, values.shape, read


def _increases(columns: Integers) -> bool:
    """Whether each column comes after the one before it in lexicographic order."""
    later, same = np.zeros(max(columns.shape[1] - 1, 0), bool), np.ones(max(columns.shape[1] - 1, 0), bool)
    for row in columns:
        later |= same & (row[1:] > row[:-1])
        same &= row[1:] == row[:-1]
    return bool(later.all())
