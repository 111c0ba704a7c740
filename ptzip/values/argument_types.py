"""Checked types of the arguments of rebuild functions.

A value of another type is a `Misfit`, which the builder turns into an UnsupportedError, or keeps the call as an `Opaque`.
"""

from collections.abc import Mapping

from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import is_countable
from ptzip.tensors.tensor import Tensor


class Misfit(ValueError):
    """Arguments that a rebuild function does not take."""


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _misfit("an integer", value)
    return value


def count(value: object) -> int:
    """An integer that counts elements: of 64 bits."""
    found = integer(value)
    if not is_countable(found):
        raise Misfit(f"expected an integer of 64 bits, found one of {found.bit_length():,}")
    return found


def counts(value: object) -> tuple[int, ...]:
    """Integers that count elements, such as strides."""
    if not isinstance(value, tuple | list):
        raise _misfit("integers", value)
    return tuple(count(item) for item in value)


def sizes(value: object) -> tuple[int, ...]:
    """A shape, whose product counts elements too."""
    found = counts(value)
    if not is_countable(*found):
        raise Misfit("expected a shape whose product fits in 64 bits")
    return found


def number(value: object) -> float:
    if not isinstance(value, int | float):
        raise _misfit("a number", value)
    return float(value)


def text(value: object) -> str:
    if not isinstance(value, str):
        raise _misfit("text", value)
    return value


def tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise _misfit("a tensor", value)
    return value


def storage(value: object) -> Storage:
    if not isinstance(value, Storage):
        raise _misfit("a storage", value)
    return value


def items(value: object, *lengths: int) -> tuple[object, ...]:
    """The items of a tuple, which must be of one of these lengths."""
    if not isinstance(value, tuple) or (lengths and len(value) not in lengths):
        raise _misfit("a tuple", value)
    return value


def mapping(value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise _misfit("a dict", value)
    return value


def texts(value: object) -> dict[str, object]:
    """The items of a dict whose keys are all text, as those of a `__dict__` are."""
    return {text(key): item for key, item in mapping(value).items()}


def _misfit(expected: str, value: object) -> Misfit:
    return Misfit(f"expected {expected}, found an object of {type(value).__name__}")
