"""Checked types of the arguments of rebuild functions.

A value of another type is a `Misfit`, which the builder turns into an UnsupportedError, or keeps the call as an `Opaque`.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import is_countable
from ptzip.tensors.tensor import Tensor

T = TypeVar("T")


class Misfit(ValueError):
    """Arguments that a rebuild function does not take."""


def misfit(expected: str, value: object) -> Misfit:
    return Misfit(f"expected {expected}, found an object of {type(value).__name__}")


def checked(kind: type[T], expected: str) -> Callable[[object], T]:
    """A function that returns a value of one type, and raises `Misfit` for any other."""

    def check(value: object) -> T:
        if not isinstance(value, kind):
            raise misfit(expected, value)
        return value

    return check


text = checked(str, "text")
tensor = checked(Tensor, "a tensor")
storage = checked(Storage, "a storage")
mapping: Callable[[object], Mapping[object, object]] = checked(dict, "a dict")


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise misfit("an integer", value)
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
        raise misfit("integers", value)
    return tuple(count(item) for item in value)


def sizes(value: object) -> tuple[int, ...]:
    """A shape, whose product counts elements too."""
    found = counts(value)
    if not is_countable(*found):
        raise Misfit("expected a shape whose product fits in 64 bits")
    return found


def number(value: object) -> float:
    if not isinstance(value, int | float):
        raise misfit("a number", value)
    return float(value)


def items(value: object, *lengths: int) -> tuple[object, ...]:
    """The items of a tuple, which must be of one of these lengths."""
    if not isinstance(value, tuple) or (lengths and len(value) not in lengths):
        raise misfit("a tuple", value)
    return value


def texts(value: object) -> dict[str, object]:
    """The items of a dict whose keys are all text, as those of a `__dict__` are."""
    return {text(key): item for key, item in mapping(value).items()}
