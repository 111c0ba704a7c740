"""What can go wrong, told by whose fault it is.

    PtzipError
    ├── FormatError       the file is not what it should be (it carries the offset where that shows)
    │   ├── CutError      it ends too early
    │   └── PickleError   its pickle breaks off
    ├── UnsupportedError  the file may be right, but this version of ptzip cannot do it
    ├── LimitError        going on would take more than `Limits` allows
    └── EditError         the caller asked for something that this file does not allow

Beside these only `OSError` leaves a public function. What is odd but does not stop the reading is no exception: it is
an `Anomaly`, a value that stays with the thing it was found in.
"""

from typing import Literal, NamedTuple


class PtzipError(Exception):
    """The root of every error that ptzip raises itself."""


class FormatError(PtzipError):
    """The file breaks its format; `offset` is the byte where it shows, or None."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.message = message
        self.offset = offset


class CutError(FormatError):
    """The bytes end before the structure does, as those of an interrupted download."""


class PickleError(FormatError):
    """A pickle of the file is none that a loader could read to its end."""


class UnsupportedError(PtzipError):
    """ptzip does not handle this (yet)."""


class LimitError(PtzipError):
    """A limit of `Limits` was crossed; nothing was allocated for what lies beyond."""


class EditError(PtzipError):
    """The edit that was asked for is not possible on this checkpoint."""


class Anomaly(NamedTuple):
    """Something no honest writer does, or that ptzip cannot spell again; `kind` is a short fixed word."""

    kind: str
    message: str
    offset: int | None = None

    def __str__(self) -> str:
        return self.message if self.offset is None else f"{self.message} (at byte {self.offset})"


ProblemKind = Literal["cut", "header", "data", "pickle", "layout"]
"""The file ends too early; headers contradict one another or the file; bytes are not those that were written; the pickle is
broken or does not fit the storages; records are not where torch computes them to be."""


class Problem(NamedTuple):
    """One thing that is wrong with a file: `place` is a record or a tensor, "" for the file itself; `offset` is in bytes."""

    kind: ProblemKind
    place: str
    message: str
    offset: int | None = None
