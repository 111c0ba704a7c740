"""Small inert values that stand for what torch has names for: dtypes, devices, layouts, sizes, generators; how they are made.

Rule: their text is the text that torch gives them, and equal things are equal.
"""

from dataclasses import dataclass

from ptzip.values.argument_types import Misfit, items, place, places, text


@dataclass(frozen=True, slots=True, repr=False)
class _Named:
    """Something that torch knows by a name."""

    name: str

    def __str__(self) -> str:
        return f"torch.{self.name}"

    def __repr__(self) -> str:
        return str(self)


class Dtype(_Named):
    """A dtype, as in `torch.float32`."""

    __slots__ = ()


class Layout(_Named):
    """A layout, as in `torch.strided`."""

    __slots__ = ()


class QScheme(_Named):
    """How a tensor is quantized, as in `torch.per_tensor_affine`."""

    __slots__ = ()


class MemoryFormat(_Named):
    """A memory format, as in `torch.channels_last`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Device:
    """A device; `index` is None where none is said."""

    type: str
    index: int | None = None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


class Size(tuple[int, ...]):
    """The size of a tensor: a tuple of numbers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


@dataclass(slots=True, eq=False)
class Generator:
    """A random number generator of torch: its device, and once its state was read the seed, the offset and the state."""

    device: Device
    seed: object = None
    offset: object = None
    state: object = None


DTYPE_NAMES = frozenset(
    (
        *("float64", "float32", "float16", "bfloat16", "complex128", "complex64", "complex32", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)),
        *("float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
        *("qint8", "quint8", "qint32", "quint4x2", "quint2x4"),
        *("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    )
)
"""All dtypes of torch 2.13: of some of them only the name can be saved."""

QSCHEME_NAMES = frozenset(
    (
        *("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric"),
        "per_channel_affine_float_qparams",
    )
)
LAYOUT_NAMES = frozenset(("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged", "_mkldnn"))
MEMORY_FORMAT_NAMES = frozenset(("contiguous_format", "preserve_format", "channels_last", "channels_last_3d"))


class Nested(bytes):
    """A legacy stream that is a value inside a pickle: the machine opens it."""

    __slots__ = ()


def as_size(given: object = ()) -> Size:
    return Size(places(given))


def as_device(kind: object, index: object = None) -> Device:
    name, _, number_text = text(kind).partition(":")
    if number_text and not number_text.isdecimal():
        raise Misfit(f"{kind} is no device")
    return Device(name, int(number_text) if number_text else None if index is None else place(index))


def as_layout(name: object) -> Layout:
    return Layout(text(name).removeprefix("torch."))


def as_generator(device: object = None) -> Generator:
    return Generator(device if isinstance(device, Device) else as_device(device or "cpu"))


def set_generator(made: Generator, state: object) -> None:
    made.seed, made.offset, made.state = items(state, 3)


def nested_stream(data: object) -> Nested:
    """`torch.storage._load_from_bytes`: how a storage is pickled without torch.save."""
    if not isinstance(data, bytes | bytearray):
        raise Misfit("a stream in a pickle is bytes")
    return Nested(data)


def first(value: object, *_: object) -> object:
    """Functions of TorchScript that give back what they are given, with a type that Python does not need."""
    return value
