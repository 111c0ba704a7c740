"""Every error that ptzip raises, by whose fault it is.

    PtzipError
    ├── FormatError       the file breaks its format
    │   ├── CutError      it ends too early
    │   └── PickleError   its pickle breaks off
    ├── UnsupportedError  the file may be valid, but this version of ptzip does not handle it
    ├── LimitError        continuing would take more than `Limits` allows
    ├── ChangedError      another program changed the file while it was read
    └── EditError         the requested edit is not possible with this file

Apart from these, public functions raise only `OSError`, and `ValueError` or `TypeError` for wrong arguments. What is unusual
but can be read is not an exception but an `Anomaly`, kept with the pickle it was found in.
"""

from typing import Literal, NamedTuple


class PtzipError(Exception):
    """The root of every error that ptzip raises itself."""


class FormatError(PtzipError):
    """The file breaks its format, at byte `offset` where that is known."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.message = message
        self.offset = offset


class CutError(FormatError):
    """The file ends too early, as after an interrupted download."""


class PickleError(FormatError):
    """A pickle in the file is one that no loader could read to its end."""


class UnsupportedError(PtzipError):
    """ptzip does not handle this (yet)."""


class LimitError(PtzipError):
    """A limit of `Limits` was crossed; nothing beyond it was allocated."""


class ChangedError(PtzipError):
    """Another program changed, replaced or removed the file while it was read."""


def beyond(name: str, limit: int, found: str, at: int | None = None) -> LimitError:
    """The error where something crosses the limit of that name; `found` completes the sentence "... the limit of 1,000"."""
    where = "" if at is None else f" (at byte {at})"
    return LimitError(f"{found} the limit of {limit:,}{where}; raise it with `--limit {name}=N`")


class EditError(PtzipError):
    """The requested edit is not possible on this checkpoint."""


class Anomaly(NamedTuple):
    """Something that no honest writer does, or that ptzip cannot write again; `kind` is a short fixed word."""

    kind: str
    message: str
    offset: int | None = None

    def __str__(self) -> str:
        return self.message if self.offset is None else f"{self.message} (at byte {self.offset})"


ProblemKind = Literal["cut", "header", "data", "pickle", "layout"]
"""The file ends too early; headers contradict one another or the file; bytes are not those that were written; the pickle is
broken or does not fit the storages; records, or the end, are not where torch looks for them."""


class Problem(NamedTuple):
    """One thing that is wrong with a file: `place` is a record or a tensor, "" for the file itself; `offset` is in bytes."""

    kind: ProblemKind
    place: str
    message: str
    offset: int | None = None
