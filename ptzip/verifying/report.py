"""What a verification found: values, which `reports` puts into words."""

from typing import NamedTuple

CUT, HEADER, DATA, PICKLE, LAYOUT = "cut", "header", "data", "pickle", "layout"
"""The kinds of problems: the file ends too early; headers contradict one another or the file; bytes are not those that were
written; the pickle is broken, or does not fit the storages; offsets that torch computes are not those of the file."""


class Problem(NamedTuple):
    """One thing that is wrong: `place` is a record or a tensor, "" for the file itself; `offset` in bytes."""

    kind: str
    place: str
    message: str
    offset: int | None = None


class Loading(NamedTuple):
    """What loads a file of torch.save that is whole and not compressed: torch from release `low` on, with `mmap=True`, with
    `weights_only=True`; `blocked` are the names that the last refuses."""

    low: tuple[int, int] | None
    mmap: bool
    weights_only: bool
    blocked: tuple[str, ...] = ()


class Rest(NamedTuple):
    """What is left of a file that was cut off: how many bytes are missing (if it has no storage, at least), and which tensors
    are whole."""

    missing: int
    whole: tuple[str, ...]
    lost: tuple[str, ...]


class Numbers(NamedTuple):
    """Tensors with values that are no numbers (NaN) or infinite, and how many."""

    name: str
    nan: int
    infinite: int


class VerifyReport(NamedTuple):
    """One file; `records` were checked against a CRC, `unchecked` ones were saved without."""

    path: str
    size: int
    format: str = ""
    problems: tuple[Problem, ...] = ()
    records: int = 0
    unchecked: tuple[str, ...] = ()
    loading: Loading | None = None
    rest: Rest | None = None
    numbers: tuple[Numbers, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.problems
