"""The dtypes of torch: name, storage class, numpy name and size of an element, one row each.

Source: `torch/storage.py` (`_dtype_to_storage_type_map`) and `torch/_utils.py`. A dtype without a storage class ("") is
written through `torch.storage.UntypedStorage`, whose elements are bytes, and `_rebuild_tensor_v3`.
"""

from typing import NamedTuple


class DType(NamedTuple):
    """`size` is in bytes; `numpy` is the name of the numpy or ml_dtypes type, "" where there is none.

    `float4_e2m1fn_x2` holds two values in an element: its numpy type is that of one of them.
    """

    name: str
    storage: str
    numpy: str
    size: int


DTYPES = (
    DType("float64", "DoubleStorage", "float64", 8),
    DType("float32", "FloatStorage", "float32", 4),
    DType("float16", "HalfStorage", "float16", 2),
    DType("bfloat16", "BFloat16Storage", "bfloat16", 2),
    DType("int64", "LongStorage", "int64", 8),
    DType("int32", "IntStorage", "int32", 4),
    DType("int16", "ShortStorage", "int16", 2),
    DType("int8", "CharStorage", "int8", 1),
    DType("uint8", "ByteStorage", "uint8", 1),
    DType("bool", "BoolStorage", "bool", 1),
    DType("complex128", "ComplexDoubleStorage", "complex128", 16),
    DType("complex64", "ComplexFloatStorage", "complex64", 8),
    DType("qint8", "QInt8Storage", "int8", 1),
    DType("qint32", "QInt32Storage", "int32", 4),
    DType("quint8", "QUInt8Storage", "uint8", 1),
    DType("quint4x2", "QUInt4x2Storage", "", 1),
    DType("quint2x4", "QUInt2x4Storage", "", 1),
    DType("uint16", "", "uint16", 2),
    DType("uint32", "", "uint32", 4),
    DType("uint64", "", "uint64", 8),
    DType("float8_e5m2", "", "float8_e5m2", 1),
    DType("float8_e4m3fn", "", "float8_e4m3fn", 1),
    DType("float8_e5m2fnuz", "", "float8_e5m2fnuz", 1),
    DType("float8_e4m3fnuz", "", "float8_e4m3fnuz", 1),
    DType("float8_e8m0fnu", "", "float8_e8m0fnu", 1),
    DType("float4_e2m1fn_x2", "", "float4_e2m1fn", 1),
    DType("complex32", "", "", 4),
    DType("bits8", "", "", 1),
    DType("bits16", "", "", 2),
    DType("bits1x8", "", "", 1),
    DType("bits2x4", "", "", 1),
    DType("bits4x2", "", "", 1),
)

BYTES = DType("uint8", "UntypedStorage", "uint8", 1)
"""How an untyped storage counts its elements."""

BY_NAME = {dtype.name: dtype for dtype in DTYPES}

PACKED = {"quint4x2": 2, "quint2x4": 4}
"""How many elements lie in one byte, where a shape counts them one by one."""

_MODULES = ("torch", "torch.cuda")
BY_STORAGE = {f"{module}.{dtype.storage}": dtype for dtype in DTYPES for module in _MODULES if dtype.storage} | {
    "torch.storage.UntypedStorage": BYTES,
    "torch.storage._UntypedStorage": BYTES,
}
"""The dtype that a storage class says, by the class's full name."""

BY_TENSOR = {
    f"{module}.{dtype.storage.replace('Storage', 'Tensor')}": dtype for dtype in DTYPES for module in _MODULES if dtype.storage
}
"""The dtype that a tensor class of torch 0.x says, by the class's full name."""
