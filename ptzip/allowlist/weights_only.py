"""What `torch.load(weights_only=True)` takes, of all that is on the allow list (`torch/_weights_only_unpickler.py`).

Rule: what any torch since 2.6 takes; later additions are left out.
"""

from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, STORAGE_CLASSES

_TENSORS = (
    *("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_parameter_with_state"),
    *("_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor", "_rebuild_meta_tensor_no_storage"),
)

CALLED = frozenset(
    (
        *(f"torch._utils.{name}" for name in _TENSORS),
        *("collections.OrderedDict", "torch.Size", "torch.device", "torch.serialization._get_layout", "_codecs.encode"),
        *(f"{home}.{name}" for home in ("builtins", "__builtin__") for name in ("set", "bytearray", "complex")),
    )
)
"""Functions and classes that it calls."""

HELD = CALLED | frozenset(
    (
        *(f"torch.{name}" for name in BY_NAME),
        *STORAGE_CLASSES,
        *OLD_TENSOR_CLASSES,
        *("torch.per_tensor_affine", "torch.per_channel_affine", "torch.nn.parameter.Parameter", "torch.Tensor"),
        "torch._tensor._rebuild_from_type_v2",
    )
)
"""Names that it imports."""

OPCODES = frozenset(
    (
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "GLOBAL", "REDUCE"),
        *("NEWOBJ", "BINPERSID"),
    )
)
"""The opcodes of values that it knows; all but one of those of protocol 2."""
