"""What a cast to float16 loses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loss:
    """How many finite values a cast turned to infinity, and how many values other than zero to zero."""

    overflowed: int = 0
    vanished: int = 0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(self.overflowed + other.overflowed, self.vanished + other.vanished)
