"""What a cast to fewer bits loses, and how far two tensors are from one another."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Loss:
    """How many finite values were beyond the range, and how many other than zero became zero; beside them, how many were no
    numbers (NaN) and infinite before."""

    overflowed: int = 0
    vanished: int = 0
    nan: int = 0
    infinite: int = 0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(
            self.overflowed + other.overflowed,
            self.vanished + other.vanished,
            self.nan + other.nan,
            self.infinite + other.infinite,
        )


class Difference(NamedTuple):
    """How far a tensor is from another: the largest errors of finite numbers, the relative one of those with all digits;
    `subnormal` numbers have fewer. `is_rounded` where each is what the cast makes of it."""

    numel: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    subnormal: int = 0
    is_equal: bool = True
    is_rounded: bool = True

    def joined(self, other: "Difference") -> "Difference":
        return Difference(
            self.numel + other.numel,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            self.subnormal + other.subnormal,
            self.is_equal and other.is_equal,
            self.is_rounded and other.is_rounded,
        )
