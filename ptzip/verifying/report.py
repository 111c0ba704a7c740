"""The report of `ptzip verify`."""

from typing import NamedTuple

from ptzip.errors import Problem


class Loading(NamedTuple):
    """What loads an intact, uncompressed file of torch.save: torch from release `low` on (None: any), with `mmap=True`, with
    `weights_only=True`; `blocked` are the names that the latter refuses."""

    low: tuple[int, int] | None
    mmap: bool
    weights_only: bool
    blocked: tuple[str, ...] = ()


class Rest(NamedTuple):
    """What remains of a file that was cut off: how many bytes are missing (at least, if it ends before its first storage), and
    which tensors are complete."""

    missing: int
    whole: tuple[str, ...]
    lost: tuple[str, ...]


class NonFinite(NamedTuple):
    """A tensor with values that are NaN or infinite, and how many."""

    name: str
    nan: int
    infinite: int


class VerifyReport(NamedTuple):
    """The integrity of one file: `records` CRCs match, the `unchecked` records were saved without a CRC."""

    path: str
    size: int
    format: str = ""
    problems: tuple[Problem, ...] = ()
    records: int = 0
    unchecked: tuple[str, ...] = ()
    loading: Loading | None = None
    rest: Rest | None = None
    numbers: tuple[NonFinite, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.problems
