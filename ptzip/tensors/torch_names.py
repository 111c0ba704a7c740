"""Every function of torch that rebuilds a tensor, and every class of tensors and storages, one row each.

Source: `torch/_utils.py`, `torch/_tensor.py`, `torch/storage.py`; since and until which release a name is written was measured
on files of torch 1.4, 1.6, 1.13 and 2.13 and read in the sources of 2.0 to 2.7.
"""

from typing import Literal, NamedTuple

from ptzip.tensors.dtypes import BYTES, DTYPES, DType

Release = tuple[int, int]
"""Major and minor version of torch."""

Role = Literal["view", "on storage", "rebuild", "parameter", "subclass", "bytes", "tensor class", "storage class", "other"]
"""What a name is for: "view" rebuilds a strided view of a storage, from (storage, offset, size, stride, ...); "on
storage" begins with the same arguments, but its tensor is more than that view; "rebuild" makes any other kind of tensor;
"parameter" wraps a tensor; "subclass" calls one of the others and changes the class of its result;
"bytes" loads a nested legacy stream; "other" is a name that only some releases have."""


class TorchName(NamedTuple):
    """One name. `least_arguments`: fewer than that is no call of torch's. `since` and `until`: the releases that write it,
    None where unknown. `in_legacy`: whether torch can read it back from a legacy stream. `dtype`: of a class, if it has one.
    """

    path: str
    role: Role
    least_arguments: int = 0
    since: Release | None = None
    until: Release | None = None
    in_legacy: bool = True
    dtype: DType | None = None


TENSOR = "torch.Tensor"
PARAMETER = "torch.nn.parameter.Parameter"
BUFFER = "torch.nn.parameter.Buffer"
NESTED_TENSOR = "torch.nested._internal.nested_tensor.NestedTensor"
TYPED = "torch._utils._rebuild_tensor_v3"
REBUILD_JAGGED = "torch.nested._internal.nested_tensor._rebuild_njt"

_FUNCTIONS = (
    TorchName("torch._utils._rebuild_tensor", "view", 4, (0, 1), (0, 3)),
    TorchName("torch._utils._rebuild_tensor_v2", "view", 6, (0, 4)),
    TorchName(TYPED, "on storage", 7, (2, 1), in_legacy=False),
    TorchName("torch._utils._rebuild_parameter", "parameter", 3),
    TorchName("torch._utils._rebuild_parameter_with_state", "parameter", 4, (2, 0)),
    TorchName("torch._utils._rebuild_device_tensor_from_cpu_tensor", "rebuild", 4, (2, 6)),
    TorchName("torch._utils._rebuild_device_tensor_from_numpy", "rebuild", 4),
    TorchName("torch._utils._rebuild_xla_tensor", "rebuild", 4),
    TorchName("torch._utils._rebuild_sparse_tensor", "rebuild", 2),
    TorchName("torch._utils._rebuild_sparse_csr_tensor", "rebuild", 2, (1, 10), (1, 13)),
    TorchName("torch._utils._rebuild_qtensor", "on storage", 7),
    TorchName("torch._utils._rebuild_nested_tensor", "rebuild", 4, in_legacy=False),
    TorchName("torch._utils._rebuild_meta_tensor_no_storage", "rebuild", 4),
    TorchName("torch._utils._rebuild_wrapper_subclass", "rebuild", 8),
    TorchName("torch._tensor._rebuild_from_type_v2", "subclass", 4, (1, 9)),
    TorchName("torch._tensor._rebuild_from_type", "subclass", 4, (1, 9)),
    TorchName("torch.tensor._rebuild_from_type_v2", "subclass", 4, until=(1, 8)),
    TorchName("torch.tensor._rebuild_from_type", "subclass", 4, until=(1, 8)),
    TorchName(REBUILD_JAGGED, "rebuild", 1),
    TorchName("torch.storage._load_from_bytes", "bytes", 1),
)

_TENSOR_CLASSES = (
    *(TorchName(path, "tensor class") for path in (TENSOR, "torch._tensor.Tensor", "torch.tensor.Tensor")),
    *(TorchName(path, "tensor class") for path in (PARAMETER, BUFFER, NESTED_TENSOR, "torch.autograd.variable.Variable")),
    TorchName("torch.nn.parameter.UninitializedParameter", "tensor class"),
    TorchName("torch.nn.parameter.UninitializedBuffer", "tensor class"),
)

_STORAGE_CLASSES = (
    TorchName("torch.storage._UntypedStorage", "storage class", since=(1, 11), until=(1, 12), dtype=BYTES),
    TorchName("torch.storage.UntypedStorage", "storage class", since=(1, 13), in_legacy=False, dtype=BYTES),
    TorchName("torch.storage.TypedStorage", "storage class"),
    *(
        TorchName(f"{module}.{dtype.storage}", "storage class", dtype=dtype)
        for module in ("torch", "torch.cuda")
        for dtype in DTYPES
        if dtype.storage
    ),
)

_OLD_TENSOR_CLASSES, _OLD_SPARSE_CLASSES = (
    tuple(
        TorchName(f"{module}.{dtype.storage.removesuffix('Storage')}Tensor", "tensor class", dtype=dtype)
        for module in modules
        for dtype in DTYPES
        if dtype.storage
    )
    for modules in (("torch", "torch.cuda"), ("torch.sparse", "torch.cuda.sparse"))
)
"""`torch.FloatTensor` and the like, as torch 0.1 pickled tensors (`torch/_tensor_classes.py`)."""

_OTHERS = (
    TorchName("torch.torch_version.TorchVersion", "other", since=(1, 10)),
    *(TorchName(f"torch.{name}", "other", since=(2, 1)) for name in ("float8_e4m3fn", "float8_e5m2")),
    *(TorchName(f"torch.{name}", "other", since=(2, 2)) for name in ("float8_e4m3fnuz", "float8_e5m2fnuz")),
    *(TorchName(f"torch.{name}", "other", since=(2, 3)) for name in ("uint16", "uint32", "uint64")),
    TorchName("torch.float8_e8m0fnu", "other", since=(2, 7)),
    TorchName("torch.float4_e2m1fn_x2", "other", since=(2, 8)),
)

TORCH_NAMES = {
    row.path: row
    for row in (*_FUNCTIONS, *_TENSOR_CLASSES, *_STORAGE_CLASSES, *_OLD_TENSOR_CLASSES, *_OLD_SPARSE_CLASSES, *_OTHERS)
}
"""All of them by full name."""

VIEWS = {row.path: row.least_arguments for row in _FUNCTIONS if row.role == "view"}
ON_STORAGE = frozenset(row.path for row in _FUNCTIONS if row.role in ("view", "on storage"))
PLAIN_CLASSES = frozenset((TENSOR, "torch._tensor.Tensor", "torch.tensor.Tensor", PARAMETER, BUFFER))
"""The classes that add nothing to a tensor's values."""

SUBCLASSES = frozenset(row.path for row in _FUNCTIONS if row.role == "subclass")
PARAMETERS = frozenset((PARAMETER, *(row.path for row in _FUNCTIONS if row.role == "parameter")))
"""What makes a parameter of a tensor: functions, and in torch 0.x the class itself."""

STORAGE_CLASSES = {row.path: row.dtype for row in _STORAGE_CLASSES if row.dtype}
"""The dtype of each storage class whose elements have one."""

OLD_TENSOR_CLASSES = {row.path: row.dtype for row in _OLD_TENSOR_CLASSES if row.dtype}
"""The dtype of each dense tensor class of torch 0.x."""

TENSOR_CLASSES = frozenset(row.path for row in _TENSOR_CLASSES)
"""The tensor classes of later releases."""

REBUILDS = frozenset(row.path for row in _FUNCTIONS if row.role != "bytes")
NOT_IN_LEGACY = frozenset(row.path for row in TORCH_NAMES.values() if not row.in_legacy)
DATED = tuple(row for row in TORCH_NAMES.values() if row.since or row.until)
"""The names that only some releases write."""

SPARSE_COMPONENTS = {
    "sparse_coo": ("indices", "values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"),
    "sparse_bsr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"),
    "sparse_bsc": ("ccol_indices", "row_indices", "values"),
}
"""The tensors that a sparse tensor consists of by its layout, in the order of the pickle."""

COMPRESSED_ROWS = ("sparse_csr", "sparse_bsr")
"""The layouts whose rows are compressed; in `sparse_csc` and `sparse_bsc` the columns are."""

INDEXED = frozenset(
    (
        *(f"torch._utils._rebuild_{name}" for name in ("sparse_tensor", "sparse_csr_tensor", "nested_tensor", "qtensor")),
        REBUILD_JAGGED,
    )
)
"""The functions whose tensors refer to one another by numbers, which torch does not check."""

_PREFIXES = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.tensor._rebuild_")
"""How the names of rebuild functions begin, those of future releases too."""


def makes_tensor(path: str) -> bool:
    """Whether a call of this returns a tensor: any rebuild function or tensor class of torch, known here or not."""
    row = TORCH_NAMES.get(path)
    module, _, name = path.rpartition(".")
    is_old_class = module in ("torch", "torch.cuda") and name.endswith("Tensor") and name != "Tensor"
    is_class = is_old_class or (row is not None and row.role == "tensor class")
    return is_class or path in REBUILDS or path.startswith(_PREFIXES)


def may_hide_storages(path: str) -> bool:
    """Whether a call of this returns something that is not simply a view of a storage, so that it may use others."""
    row = TORCH_NAMES.get(path)
    is_simple = row is not None and row.role in ("view", "parameter")
    return not is_simple and (makes_tensor(path) or (row is not None and row.role == "bytes"))
