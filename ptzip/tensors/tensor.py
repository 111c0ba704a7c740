"""A tensor in a file: its dtype, shape and strides. Values are read, and numpy is loaded, only when they are used."""

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ptzip.tensors.dtypes import BY_NAME, PACKED
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import check_copies, contiguous, element_range

if TYPE_CHECKING:
    import numpy.typing as npt

NOTHING: Mapping[str, Any] = MappingProxyType({})

COUNTED_BY = {"nested": "buffer", "jagged": "values"}
"""The component that determines how many elements a tensor without a shape has, by its layout."""


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor in a file. Two are equal only if they are the same object, which shows which names share a tensor.

    `shape`, `stride` and `offset` count elements, and are () and 0 where the file does not give them. `layout` is "strided",
    "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "nested", "jagged" or "uninitialized". `storage` is
    None where the tensor has no bytes of its own: on the meta device, or where it consists of `components`, tensors by name.
    `attributes` is what Python code had attached to it, `class_path` the full name of its class.

    `tensor[key]` reads only what the key selects, for integers, slices, `...` and None; any other key that numpy accepts is
    applied to the whole array.
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
        """The bytes of an element; 1 where several share a byte, 0 where the dtype is unknown."""
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
        """The bytes of the values, or of the components where it consists of those."""
        if self.storage is None and self.components:
            return sum(component.nbytes for component in self.components.values())
        return -(-self.numel // PACKED.get(self.dtype, 1)) * self.itemsize

    @property
    def with_components(self) -> "list[Tensor]":
        """The tensor and, recursively, its components."""
        return [self, *(inner for component in self.components.values() for inner in component.with_components)]

    @property
    def storage_keys(self) -> set[str]:
        """The keys of all storages in the file that hold its values; a view in a legacy stream has none of its own there."""
        return {tensor.storage.root[0].key for tensor in self.with_components if tensor.storage is not None}

    def numpy(self) -> "npt.NDArray[Any]":
        """The values as an array in native byte order, conjugated and negated where the tensor is; integers if quantized.

        bfloat16, float8 and float4 are types of ml_dtypes; the two values in a float4_e2m1fn_x2 are neighbours along the last
        dimension. Raises UnsupportedError where numpy cannot represent the tensor, FormatError where bytes are missing.
        """
        from ptzip.tensors import to_numpy as arrays  # here, so that looking at tensors does not load numpy

        return arrays.values(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "npt.NDArray[Any]":
        """The values for numpy (`np.asarray(tensor)`), read from the file into a new array each time."""
        if copy is False:
            raise ValueError("a tensor in a file cannot become an array without a copy: use copy=None")
        values = self.numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> "npt.NDArray[Any]":
        """The values at `key`, a numpy scalar if it selects one. Raises IndexError, or as `numpy` does."""
        from ptzip.tensors import to_numpy as arrays  # as above
        from ptzip.tensors.blocks import RowMajor

        items = key if isinstance(key, tuple) else (key,)
        is_strided = self.storage is not None and self.layout == "strided" and len(self.shape) == len(self.stride)
        if not is_strided or self.dtype in PACKED or not all(map(_is_basic, items)):
            return self.numpy()[key]  # type: ignore[no-any-return]
        part, rest = self._selected(items)
        data = bytearray().join(RowMajor(part).chunks(0, part.nbytes))
        plain = replace(part, offset=0, stride=contiguous(part.shape), is_conj=False, is_neg=False)
        return arrays.on_bytes(plain, data)[rest]  # type: ignore[no-any-return]

    def _selected(self, items: tuple[Any, ...]) -> "tuple[Tensor, tuple[Any, ...]]":
        """The smallest tensor that holds what basic indices select, and the key that remains for it: flips and new axes."""
        counted = sum(item is not None and item is not Ellipsis for item in items)
        if counted > len(self.shape) or sum(item is Ellipsis for item in items) > 1:
            raise IndexError(f"invalid index {items}: the tensor has {len(self.shape)} dimensions")
        fill = (slice(None),) * (len(self.shape) - counted)
        cut = next((at for at, item in enumerate(items) if item is Ellipsis), len(items))
        axes = zip(self.shape, self.stride, strict=True)
        offset, dimensions, rest = self.offset, list[tuple[int, int]](), list[slice | None]()
        for item in (*items[:cut], *fill, *items[cut + 1 :]):
            if item is None:
                rest.append(None)
                continue
            size, step = next(axes)
            if not isinstance(item, slice):
                if not -size <= operator.index(item) < size:
                    raise IndexError(f"index {item} is out of bounds for a dimension of size {size}")
                offset += range(size)[item] * step
                continue
            chosen = range(size)[item]
            offset += min(chosen[0], chosen[-1]) * step if chosen else 0
            dimensions.append((len(chosen), abs(chosen.step) * step if len(chosen) > 1 else 0))  # a step may be huge
            rest.append(slice(None, None, 1 if chosen.step > 0 else -1))
        shape, strides = tuple(size for size, _ in dimensions), tuple(step for _, step in dimensions)
        end = (...,) if cut < len(items) else ()  # with `...` even a single element is an array
        return replace(self, offset=offset, shape=shape, stride=strides), (*rest, *end)

    def tobytes(self) -> bytes:
        """The values in row-major order, little-endian. Raises as `numpy` does."""
        from ptzip.tensors import to_numpy as arrays  # as above

        return arrays.tobytes(self)

    def __repr__(self) -> str:
        words = [f"{self.dtype or 'unknown dtype'} {list(self.shape)}"]
        words += [self.layout] if self.layout != "strided" else []
        words += [f"stride {list(self.stride)}"] if self.stride != contiguous(self.shape) and self.layout == "strided" else []
        words += [f"{self.nbytes:,} bytes", *(["requires_grad"] if self.requires_grad else [])]
        return f"<Tensor {', '.join(words)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from ptzip.notebook import fact_table  # as above

        facts = {"dtype": self.dtype, "shape": str(list(self.shape)), "bytes": self.nbytes, "requires_grad": self.requires_grad}
        return fact_table("Tensor", facts | {"layout": self.layout, "device": self.device, "class": self.class_path})


def _is_basic(item: object) -> bool:
    """Whether an index is an integer, a slice, `...` or None; numpy takes a bool and an array for a mask."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return True
    return hasattr(item, "__index__") and not isinstance(item, bool) and not hasattr(item, "__len__")


def stored_bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of all storages of some tensors, each once."""
    roots = [one.storage.root[0] for tensor in tensors for one in tensor.with_components if one.storage is not None]
    return sum(root.size for root in {id(root): root for root in roots}.values())


def check_values(tensors: Iterable[Tensor]) -> None:
    """Raise LimitError where strides of 0 repeat bytes in so many tensors that looking at each value takes very long."""
    distinct = [*{id(one): one for one in tensors}.values()]
    check_copies(sum(one.nbytes for one in distinct), stored_bytes(distinct))


def check_overlaps(tensors: Iterable[Tensor]) -> None:
    """Raise LimitError where tensors share bytes so often that reading each of them takes very long."""
    strided = [one for one in {id(one): one for one in tensors}.values() if len(one.stride) == len(one.shape)]
    spans = [(element_range(one.offset, one.shape, one.stride), one.itemsize) for one in strided]
    check_copies(sum((stop - first) * size for (first, stop), size in spans), stored_bytes(strided))
