"""What constructors ask of their arguments.

Rule: a value that is not what it should be is a `Misfit`; the machine then says so, or keeps the call as it is.
"""

from collections.abc import Mapping

from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import is_countable
from ptzip.tensors.tensor import Tensor


class Misfit(ValueError):
    """Arguments that a constructor does not take."""


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit(f"{_called(value)} stands where a whole number is expected")
    return value


def place(value: object) -> int:
    """A whole number that counts elements."""
    found = integer(value)
    if not is_countable(found):
        raise Misfit(f"a number of {found.bit_length():,} bits stands where one of 64 is expected")
    return found


def places(value: object) -> tuple[int, ...]:
    """Whole numbers that count elements, such as strides."""
    if not isinstance(value, tuple | list):
        raise Misfit(f"{_called(value)} stands where whole numbers are expected")
    return tuple(place(item) for item in value)


def sizes(value: object) -> tuple[int, ...]:
    """A shape, whose product counts elements too."""
    found = places(value)
    if not is_countable(*found):
        raise Misfit("a shape of more elements than fit in 64 bits")
    return found


def number(value: object) -> float:
    if not isinstance(value, int | float):
        raise Misfit(f"{_called(value)} stands where a number is expected")
    return float(value)


def text(value: object) -> str:
    if not isinstance(value, str):
        raise Misfit(f"{_called(value)} stands where text is expected")
    return value


def tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise Misfit(f"{_called(value)} stands where a tensor is expected")
    return value


def storage(value: object) -> Storage:
    if not isinstance(value, Storage):
        raise Misfit(f"{_called(value)} stands where a storage is expected")
    return value


def items(value: object, *counts: int) -> tuple[object, ...]:
    """The items of a tuple, which must be of one of these lengths."""
    if not isinstance(value, tuple) or (counts and len(value) not in counts):
        raise Misfit(f"{_called(value)} stands where a tuple is expected")
    return value


def mapping(value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise Misfit(f"{_called(value)} stands where a dict is expected")
    return value


def texts(value: object) -> dict[str, object]:
    """The items of a dict whose keys are all text, as those of a `__dict__` are."""
    return {text(key): item for key, item in mapping(value).items()}


def _called(value: object) -> str:
    return f"an object of {type(value).__name__}"
