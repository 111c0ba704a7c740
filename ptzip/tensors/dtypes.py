"""The dtypes of torch, one row each: names elsewhere, size, packing, casts.

Source: `torch/storage.py` (`_dtype_to_storage_type_map`), `torch/_utils.py`, `safetensors/torch.py` (`_TYPES`). A dtype without
a storage class is written through `torch.storage.UntypedStorage`, whose elements are bytes, and `_rebuild_tensor_v3`.
"""

from typing import NamedTuple


class DType(NamedTuple):
    """One dtype; "" wherever there is no such name.

    `storage`: class in torch and torch.cuda. `numpy`: type of numpy or ml_dtypes (of one value, where values are packed).
    `size`: bytes of a stored element. `safetensors`: code in a header. `struct`: format character of the struct module.
    `casts`: the dtypes that slim casts weights of this dtype to, 16-bit floats only if asked by name: nothing is gained, and
    range or digits are lost. torch's `half()` takes float8 too, whose scales say what it means.
    """

    name: str
    storage: str
    numpy: str
    size: int
    safetensors: str = ""
    struct: str = ""
    casts: tuple[str, ...] = ()


DTYPES = (
    DType("float64", "DoubleStorage", "float64", 8, "F64", "d", casts=("float16", "bfloat16")),
    DType("float32", "FloatStorage", "float32", 4, "F32", "f", casts=("float16", "bfloat16")),
    DType("float16", "HalfStorage", "float16", 2, "F16", "e", casts=("bfloat16",)),
    DType("bfloat16", "BFloat16Storage", "bfloat16", 2, "BF16", casts=("float16",)),
    DType("int64", "LongStorage", "int64", 8, "I64", "q"),
    DType("int32", "IntStorage", "int32", 4, "I32", "i"),
    DType("int16", "ShortStorage", "int16", 2, "I16", "h"),
    DType("int8", "CharStorage", "int8", 1, "I8", "b"),
    DType("uint8", "ByteStorage", "uint8", 1, "U8", "B"),
    DType("bool", "BoolStorage", "bool", 1, "BOOL", "?"),
    DType("complex128", "ComplexDoubleStorage", "complex128", 16),
    DType("complex64", "ComplexFloatStorage", "complex64", 8, "C64"),
    DType("qint8", "QInt8Storage", "int8", 1),
    DType("qint32", "QInt32Storage", "int32", 4),
    DType("quint8", "QUInt8Storage", "uint8", 1),
    DType("quint4x2", "QUInt4x2Storage", "", 1),
    DType("quint2x4", "QUInt2x4Storage", "", 1),
    DType("uint16", "", "uint16", 2, "U16", "H"),
    DType("uint32", "", "uint32", 4, "U32", "I"),
    DType("uint64", "", "uint64", 8, "U64", "Q"),
    DType("float8_e5m2", "", "float8_e5m2", 1, "F8_E5M2"),
    DType("float8_e4m3fn", "", "float8_e4m3fn", 1, "F8_E4M3"),
    DType("float8_e5m2fnuz", "", "float8_e5m2fnuz", 1, "F8_E5M2FNUZ"),
    DType("float8_e4m3fnuz", "", "float8_e4m3fnuz", 1, "F8_E4M3FNUZ"),
    DType("float8_e8m0fnu", "", "float8_e8m0fnu", 1, "F8_E8M0"),
    DType("float4_e2m1fn_x2", "", "float4_e2m1fn", 1, "F4"),
    DType("complex32", "", "", 4),
    DType("bits8", "", "", 1),
    DType("bits16", "", "", 2),
    DType("bits1x8", "", "", 1),
    DType("bits2x4", "", "", 1),
    DType("bits4x2", "", "", 1),
)

BYTES = DType("uint8", "UntypedStorage", "uint8", 1)
"""How an untyped storage counts its elements."""

NAME_ONLY = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8))
"""Dtypes of torch 2.13 that no tensor can be saved with, but whose name can: `torch.int1` to `torch.uint7`."""

BY_NAME = {dtype.name: dtype for dtype in DTYPES}

QUANTISED = frozenset(name for name in BY_NAME if name.startswith(("q", "float8", "float4", "bits")))
"""Dtypes whose values mean nothing, or little, without a scale."""

SMALL_INTEGERS = frozenset(("int8", "uint8", "int16", "uint16", "int32", "uint32"))
"""Dtypes of integers that quantised weights are packed in."""

PACKED = {"quint4x2": 2, "quint2x4": 4}
"""Elements per stored byte, for the dtypes whose shape counts elements; the shape of a float4_e2m1fn_x2 counts bytes."""

STRING_DTYPE = "numpy._core._internal._convert_to_stringdtype_kwargs"
"""The function that numpy calls to rebuild its `StringDType`, which torch lacks."""

JOBLIB_WRAPPERS = frozenset(f"{package}joblib.numpy_pickle.NumpyArrayWrapper" for package in ("", "sklearn.externals."))
"""The class that describes an array of joblib, also in scikit-learn before 0.23, which brought its own joblib."""
