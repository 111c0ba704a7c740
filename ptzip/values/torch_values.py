"""Inert values for what torch has names for: dtypes, devices, layouts, sizes, generators. Their text is torch's own."""

from collections.abc import Callable
from dataclasses import dataclass

from ptzip.values.argument_types import Misfit, count, counts, items, misfit, text


@dataclass(frozen=True, slots=True, repr=False)
class _Named:
    """Something that torch has a name for."""

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
    """A device; `index` is None for the current one."""

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
    """A random number generator of torch: its device, and from its state the seed, the offset and the state itself."""

    device: Device
    seed: object = None
    offset: object = None
    state: object = None


class NestedStream(bytes):
    """A legacy stream that is a value inside a pickle: the builder reads it."""

    __slots__ = ()


def as_size(given: object = ()) -> Size:
    return Size(counts(given))


def as_device(kind: object, index: object = None) -> Device:
    name, _, number_text = text(kind).partition(":")
    if number_text and not number_text.isdecimal():
        raise Misfit(f"expected a device, found {kind}")
    return Device(name, int(number_text) if number_text else None if index is None else count(index))


def as_layout(name: object) -> Layout:
    return Layout(text(name).removeprefix("torch."))


def torch_generator(device: object = None) -> Generator:
    return Generator(device if isinstance(device, Device) else as_device(device or "cpu"))


def set_torch_generator(generator: Generator, state: object) -> None:
    generator.seed, generator.offset, generator.state = items(state, 3)


def nested_stream(data: object) -> NestedStream:
    """`torch.storage._load_from_bytes`: how a storage is pickled without torch.save."""
    if not isinstance(data, bytes | bytearray):
        raise misfit("bytes", data)
    return NestedStream(data)


def first_argument(value: object, *_: object) -> object:
    """Functions of TorchScript that return their argument, with a type that Python does not need."""
    return value


FUNCTIONS: tuple[Callable[..., object], ...] = (
    *(Dtype, QScheme, Layout, MemoryFormat, as_size, as_device, as_layout),
    *(torch_generator, set_torch_generator, nested_stream, first_argument),
)
"""What the allow list names."""
