"""The one allow list: what a pickle may name, call and describe, by exact module and name. Everything else is not allowed.

Rule: a module is never allowed as a whole, nor by how its name begins; a dotted name below an allowed one is another name.
Sources: what `torch.load(weights_only=True)` takes (`torch/_weights_only_unpickler.py`), what numpy and Python's own
containers, dates and paths reduce to, and the classes of `torch.nn.modules`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ptzip.allowlist import argument_checks as shapes
from ptzip.allowlist.argument_checks import Shape
from ptzip.allowlist.torch_modules import MODULES
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, STORAGE_CLASSES

Name = tuple[str, str]
"""Module and name, as the pickle has them."""


class Use(NamedTuple):
    """What may be done with a name: called with arguments of a shape (None: not at all), and given a state by BUILD."""

    call: Shape | None = None
    builds: bool = False


NAMED = Use()
"""Something that is only held: a dtype, a layout, a type."""

BUILTINS = ("builtins", "__builtin__")
COPYREG = ("copyreg", "copy_reg")
MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")

ODD_DTYPES = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8))
"""`torch.int1` to `torch.uint7`: dtypes that no storage class has."""


def _under(homes: Iterable[str], names: str) -> list[str]:
    return [f"{home}.{name}" for home in homes for name in names.split()]


_PYTHON: tuple[tuple[Use, list[str]], ...] = (
    (NAMED, _under(BUILTINS, "Ellipsis NotImplemented")),
    (Use(shapes.nothing), _under(BUILTINS, "object")),
    (Use(shapes.contained), _under(BUILTINS, "set frozenset list tuple dict")),
    (Use(shapes.sized), _under(BUILTINS, "bytes bytearray")),
    (Use(shapes.plainly), _under(BUILTINS, "complex int float bool str slice range")),
    (Use(shapes.plainly), _under(["__builtin__"], "unicode long xrange")),
    (Use(shapes.encoded), ["_codecs.encode"]),
    (Use(shapes.factory, builds=True), ["collections.defaultdict"]),
    (Use(shapes.contained, builds=True), _under(["collections"], "OrderedDict Counter deque")),
    (Use(shapes.anything, builds=True), ["argparse.Namespace", "types.SimpleNamespace", "uuid.UUID"]),
    (Use(shapes.anything), _under(["datetime"], "date datetime time timedelta timezone")),
    (Use(shapes.anything), ["decimal.Decimal", "fractions.Fraction"]),
    (
        Use(shapes.anything),
        _under(["pathlib", "pathlib._local"], "Path PosixPath PurePath PurePosixPath WindowsPath PureWindowsPath"),
    ),
    (Use(shapes.anything), _under(COPYREG, "_reconstructor __newobj__")),
    (Use(shapes.nothing, builds=True), ["joblib.numpy_pickle.NumpyArrayWrapper"]),
)

_NUMPY: tuple[tuple[Use, list[str]], ...] = (
    (NAMED, _under(["numpy"], "ndarray bool_ bool str_ bytes_ float16 float32 float64 complex64 complex128 longlong")),
    (NAMED, _under(["numpy"], "int8 int16 int32 int64 uint8 uint16 uint32 uint64 ulonglong")),
    (Use(shapes.small_array, builds=True), _under(MULTIARRAY, "_reconstruct")),
    (Use(shapes.anything), _under(MULTIARRAY, "scalar")),
    (Use(shapes.dtype, builds=True), ["numpy.dtype"]),
    (Use(shapes.plain_array), _under(["numpy.core.numeric", "numpy._core.numeric"], "_frombuffer")),
    (
        Use(shapes.bit_generator, builds=True),
        _under(["numpy.random._pickle"], "__bit_generator_ctor __generator_ctor __randomstate_ctor"),
    ),
    (Use(shapes.anything, builds=True), ["numpy.random.bit_generator.__pyx_unpickle_SeedSequence"]),
    (NAMED, [path for path in sorted(shapes.RANDOM) if not path.rpartition(".")[2].startswith("__")]),
    (NAMED, ["numpy.random.bit_generator.SeedSequence"]),
)

_TORCH: tuple[tuple[Use, list[str]], ...] = (
    (NAMED, [f"torch.{name}" for name in (*BY_NAME, *ODD_DTYPES)]),
    (NAMED, _under(["torch"], "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric")),
    (NAMED, _under(["torch"], "per_channel_affine_float_qparams strided sparse_coo sparse_csr sparse_csc sparse_bsr")),
    (NAMED, _under(["torch"], "sparse_bsc jagged _mkldnn contiguous_format preserve_format channels_last channels_last_3d")),
    (NAMED, list(STORAGE_CLASSES)),
    (NAMED, ["torch.storage.TypedStorage", "torch.nested._internal.nested_tensor.NestedTensor"]),
    (Use(shapes.nothing, builds=True), list(OLD_TENSOR_CLASSES)),
    (
        Use(shapes.nothing, builds=True),
        [name.replace(".", ".sparse.", 1) for name in OLD_TENSOR_CLASSES if not name.startswith("torch.cuda.")],
    ),
    (
        Use(shapes.nothing, builds=True),
        [name.replace("torch.", "torch.cuda.sparse.") for name in OLD_TENSOR_CLASSES if "cuda" not in name],
    ),
    (Use(shapes.nothing, builds=True), ["torch.Tensor", "torch._tensor.Tensor", "torch.tensor.Tensor"]),
    (
        Use(shapes.anything, builds=True),
        _under(["torch.nn.parameter"], "Parameter Buffer UninitializedParameter UninitializedBuffer"),
    ),
    (Use(shapes.anything, builds=True), ["torch.autograd.variable.Variable", "torch._C.Generator"]),
    (Use(shapes.anything, builds=True), sorted(shapes.REBUILDERS)),
    (
        Use(shapes.rebuilding, builds=True),
        _under(["torch._tensor", "torch.tensor"], "_rebuild_from_type _rebuild_from_type_v2"),
    ),
    (Use(shapes.anything, builds=True), [shapes.JAGGED, "torch._dynamo.decorators._DimRange"]),
    (Use(shapes.anything), ["torch.Size", "torch.device", "torch.serialization._get_layout"]),
    (Use(shapes.byte_stream), ["torch.storage._load_from_bytes"]),
    (
        Use(shapes.anything),
        _under(["torch.jit._pickle"], "build_intlist build_tensorlist build_doublelist build_boollist restore_type_tag"),
    ),
    (Use(shapes.nothing, builds=True), list(MODULES)),
)


def pair(path: str) -> Name:
    """Module and name of a full name, whose last dot parts them."""
    module, _, name = path.rpartition(".")
    return module, name


ALLOWED: dict[Name, Use] = {pair(path): use for use, paths in (*_PYTHON, *_NUMPY, *_TORCH) for path in paths}
"""The list."""


def is_allowed(module: str, name: str) -> bool:
    """Whether a pickle may name this."""
    return (module, name) in ALLOWED
