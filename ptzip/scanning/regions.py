"""What rules look at: the pickles of a file, its containers, and other things in it.

Rule: a subject is what was read and where it lies; it says nothing of what is good or bad.
"""

import functools
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from ptzip.allowlist.table import Name
from ptzip.formats.container import Part
from ptzip.io.sources import Source
from ptzip.pickling.nodes import Pickle
from ptzip.scanning.budget import Budget
from ptzip.scanning.object_size import Extent, extent
from ptzip.scanning.pickle_uses import Found, Uses
from ptzip.zip.reader import Archive


class Stream:
    """One pickle. `part` has its storages, where it may have any; `is_hidden` where no loader of the file looks for one,
    `is_doubtful` where it is hardly one, and `left` bytes follow its STOP that are no pickle, where none should."""

    def __init__(
        self,
        place: str,
        pickle: Pickle,
        part: Part | None = None,
        trusted: Collection[Name] = (),
        is_hidden: bool = False,
        left: int = 0,
        is_doubtful: bool = False,
    ) -> None:
        self.place = place
        self.pickle = pickle
        self.part = part
        self.trusted = trusted
        self.is_hidden = is_hidden
        self.left = left
        self.is_doubtful = is_doubtful

    @functools.cached_property
    def uses(self) -> tuple[Found, ...]:
        return tuple(Uses(self.pickle, self.trusted).found())

    @functools.cached_property
    def extent(self) -> Extent:
        return extent(self.pickle)


class Zip:
    """One zip that lies in `source`. `directories` are the other central directories that a reader may come to; `prefix` is
    the folder of its records, where it is one of torch."""

    def __init__(self, place: str, source: Source, archive: Archive, prefix: str | None, directories: tuple[int, ...]) -> None:
        self.place = place
        self.source = source
        self.archive = archive
        self.prefix = prefix
        self.directories = directories
        self.wrong = list[str]()
        """The records whose CRC is not that of their bytes, of those that were read."""


UNREAD, LIMIT, STRANGE, SEVERAL, BOMB = "unread", "limit", "strange", "several", "bomb"
CODE, TORCHSCRIPT, FILES_CODE = "code", "torchscript", "files"
"""The kinds of notes."""


class Note(NamedTuple):
    """Something else that was found on the way: `kind` says which rule is about it."""

    place: str
    kind: str
    message: str
    offset: int | None = None


class Names(NamedTuple):
    """The names of the members of a container that is no zip."""

    place: str
    names: list[str]


Subject = Stream | Zip | Note | Names


def inside(place: str, what: str) -> str:
    """The name of a place inside another; the file itself has none."""
    return f"{place}, {what}" if place else what


class Looker(Protocol):
    """Who walks on into what was found; see `reach`."""

    budget: Budget
    trusted: Collection[Name]

    def contents(self, source: Source, place: str, depth: int = 0) -> Iterator[Subject]: ...

    def blob(self, source: Source, place: str, depth: int, thorough: bool = False) -> Iterator[Subject]: ...

    def stream(self, stream: Stream, depth: int) -> Iterator[Subject]: ...

    def rest(self, source: Source, place: str, offset: int, depth: int, told: bool = False) -> Iterator[Subject]: ...
