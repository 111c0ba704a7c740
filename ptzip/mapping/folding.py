"""Folds a map where many parts in a row follow the same pattern, as the storages of a zip do: header, data, descriptor."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ptzip.mapping.parts import FilePart

MOST_KINDS = 4
"""The longest pattern, in parts."""

FOLDED_FROM = 6
"""So many groups in a row of one pattern are folded; the first of them is shown."""


class Fold(NamedTuple):
    """`times` groups of parts of the same `kinds`, in `length` bytes from `offset`, with the owners of the first and last."""

    offset: int
    length: int
    kinds: tuple[str, ...]
    times: int
    first: str
    last: str


def folded(parts: Sequence[FilePart]) -> Iterator[FilePart | Fold]:
    """The parts, of which those with a remark are never folded."""
    at = 0
    while at < len(parts):
        period, times = max(((period, _times(parts, at, period)) for period in range(1, MOST_KINDS + 1)), key=_covered)
        if times < FOLDED_FROM:
            yield parts[at]
            at += 1
            continue
        start, end = at + period, at + period * times
        yield from parts[at:start]
        kinds = tuple(part.kind for part in parts[at:start])
        first, last = parts[start], parts[end - 1]
        yield Fold(first.offset, last.end - first.offset, kinds, times - 1, first.owner, last.owner)
        at = end


def _covered(found: tuple[int, int]) -> int:
    """How many parts a pattern covers, as far as it is one."""
    period, times = found
    return period * times if times >= FOLDED_FROM else 0


def _times(parts: Sequence[FilePart], at: int, period: int) -> int:
    """How many groups of `period` parts follow one another from `at`, each of one owner and of the kinds of the first."""
    kinds = [part.kind for part in parts[at : at + period]]
    times = 0
    while True:
        group = parts[at : at + period]
        is_plain = not any(part.remark for part in group) and len({part.owner for part in group}) == 1
        if not is_plain or [part.kind for part in group] != kinds or len(group) < period:
            return times
        times, at = times + 1, at + period
