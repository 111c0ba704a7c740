"""What a cast to fewer bits loses."""

from dataclasses import dataclass


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
