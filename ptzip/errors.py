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
    """The root of every error that ptzip raises itself.

    It may be about a byte: `offset` counts from the start of the file or, where that has the bytes only compressed or encoded,
    of what `inside` names. That is None as long as the offset counts from the start of whatever is being read.
    """

    def __init__(self, message: str, offset: int | None = None, inside: str | None = None) -> None:
        super().__init__(message, offset, inside)
        self.message = message
        self.offset = offset
        self.inside = inside

    def __str__(self) -> str:
        return f"{self.message}{at_byte(self.offset, self.inside or '')}"


def at_byte(offset: int | None, inside: str = "") -> str:
    """What follows a message about a byte, in the words that `ptzip inspect --at` takes; "" where the offset is not known."""
    return "" if offset is None else f" (at byte {offset} in {inside})" if inside else f" (at byte {offset})"


class FormatError(PtzipError):
    """The file breaks its format."""


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
    return LimitError(f"{found} the limit of {limit:,}; raise it with `--limit {name}=N`", at)


class EditError(PtzipError):
    """The requested edit is not possible on this checkpoint."""


class Anomaly(NamedTuple):
    """Something that no honest writer does, or that ptzip cannot write again; `kind` is a short fixed word.

    `offset` counts from the start of the file or of what `inside` names; in the `anomalies` of a `Pickle`, from that of its
    source.
    """

    kind: str
    message: str
    offset: int | None = None
    inside: str = ""

    def __str__(self) -> str:
        return f"{self.message}{at_byte(self.offset, self.inside)}"


ProblemKind = Literal["cut", "header", "data", "pickle", "layout"]
"""The file ends too early; headers contradict one another or the file; bytes are not those that were written; the pickle is
broken or does not fit the storages; records, or the end, are not where torch looks for them."""


class Problem(NamedTuple):
    """One thing that is wrong with a file: `place` is a record or a tensor, "" for the file itself. `offset` and `inside` are
    those of an error.
    """

    kind: ProblemKind
    place: str
    message: str
    offset: int | None = None
    inside: str | None = None
