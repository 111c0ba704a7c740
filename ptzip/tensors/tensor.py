"""A tensor as it lies in a file: what it is, and its bytes when they are asked for.

Rule: nothing is read, and numpy is not loaded, before `numpy` or `tobytes` is called.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ptzip.tensors.dtypes import BY_NAME, PACKED
from ptzip.tensors.storage import Storage

if TYPE_CHECKING:
    import numpy.typing as npt

NOTHING: Mapping[str, Any] = MappingProxyType({})

COUNTED_BY = {"nested": "buffer", "jagged": "values"}
"""The component that tells how many elements a tensor without a shape has, by its layout."""


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor; two are equal only if they are the same object, so that it can be told which ones are tied.

    `shape`, `stride` and `offset` count elements, and are () and 0 where the file does not tell them. `layout` is "strided",
    "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "nested", "jagged" or "uninitialized". `storage` is
    None where the tensor has no bytes of its own: on the meta device, or where it is made of `components`, tensors by name.
    `attributes` is what Python code had attached to it. `class_path` is the full name of its class.
    """

    dtype: str = ""
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    offset: int = 0
    requires_grad: bool = False
    storage: Storage | None = None
    layout: str = "strided"
    device: str = "cpu"
    is_conj: bool = False
    is_neg: bool = False
    is_coalesced: bool | None = None
    qscheme: str = ""
    scale: float | None = None
    zero_point: int | None = None
    axis: int | None = None
    components: Mapping[str, "Tensor"] = field(default_factory=lambda: NOTHING)
    attributes: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    class_path: str = "torch.Tensor"

    @property
    def itemsize(self) -> int:
        """The bytes of an element; 1 where several share a byte, 0 where the dtype is not known."""
        return BY_NAME[self.dtype].size if self.dtype in BY_NAME else 0

    @property
    def numel(self) -> int:
        """How many elements there are."""
        counted = self.components.get(COUNTED_BY.get(self.layout, ""))
        if counted is not None:
            return counted.numel
        return 0 if self.layout == "uninitialized" else math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the values; of the components, where it is made of those."""
        if self.storage is None and self.components:
            return sum(component.nbytes for component in self.components.values())
        return -(-self.numel // PACKED.get(self.dtype, 1)) * self.itemsize

    def numpy(self) -> "npt.NDArray[Any]":
        """The values: conjugated and negated where the tensor says so, in native order; of a quantized one the integers.

        bfloat16, float8 and float4 are types of ml_dtypes; the two values in a float4_e2m1fn_x2 stand one after the other.
        Raises UnsupportedError where numpy has no form for it, FormatError where the bytes are not there.
        """
        from ptzip.tensors import to_numpy as arrays  # here, so that whoever only looks at tensors does not wait for numpy

        return arrays.values(self)

    def tobytes(self) -> bytes:
        """The values one after the other, the last dimension first, little-endian. Raises as `numpy` does."""
        from ptzip.tensors import to_numpy as arrays  # as above

        return arrays.contiguous(self)

    def __repr__(self) -> str:
        return f"<Tensor {self.dtype} {list(self.shape)}{'' if self.layout == 'strided' else f' {self.layout}'}>"
