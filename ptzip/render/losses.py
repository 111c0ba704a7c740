"""What a cast lost, as text: values that the new dtype does not have, and tensors that kept theirs for that reason."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.render.words import printable
from ptzip.tensors.rounding import Loss

MOST_NAMES = 5


class Range(NamedTuple):
    """The largest number of a dtype, and the bound below which values round to zero, as text."""

    largest: str
    smallest: str


RANGES = {"float16": Range("65,504", "3e-8"), "bfloat16": Range("3.39e38", "4.6e-41")}
BECAME = {"inf": "infinite", "saturate": "the largest finite number"}


def loss_lines(loss: Loss, wide: tuple[str, ...], dtype: str, on_overflow: str = "keep") -> Iterator[str]:
    """The values that `dtype` cannot represent and what became of them, and the tensors in `wide` that were not cast."""
    if wide:
        more = f" and {len(wide) - MOST_NAMES} more" if len(wide) > MOST_NAMES else ""
        yield f"not cast, since they have values beyond the range of {dtype} ({RANGES[dtype].largest}):"
        yield f"  {printable(', '.join(wide[:MOST_NAMES]))}{more}"
    if loss.overflowed:
        what = BECAME.get(on_overflow, "infinite")
        yield f"{loss.overflowed:,} values beyond the range of {dtype} ({RANGES[dtype].largest}) became {what}"
    if loss.vanished:
        yield f"{loss.vanished:,} values too small for {dtype} (below {RANGES[dtype].smallest}) became zero"
    if loss.nan or loss.infinite:
        yield f"{loss.nan:,} values were NaN and {loss.infinite:,} infinite before"
