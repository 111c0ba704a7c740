"""The work of a scan: regions, which are stretches of bytes that are still to be read, what their readers return, and the
budget for all of them.
"""

from collections.abc import Callable, Generator
from enum import Enum, auto
from typing import NamedTuple

from ptzip.allowlist.table import NOTHING, Trust
from ptzip.errors import beyond
from ptzip.formats.container import Part
from ptzip.io.sources import Source, position
from ptzip.io.streams import Stream as Bytes
from ptzip.limits import SCAN_LIMITS, Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import Skip, read_seen
from ptzip.scanning.subjects import Note, NoteKind, PickleStream, Subject

PART_COST = 20
"""As how many opcodes a pickle counts, and anything that is looked at as if it were a file."""

LARGE, MOST_GROWTH = 6_000_000, 3
"""Each so many bytes of a file add the limits of a small one, up to three times: a bomb is small, a checkpoint is not."""

COUNTED = ("opcodes", "pickles", "entries")
"""The limits for all of a file, which grow with it unless they are given."""


class Budget:
    """How much one scan may still read of everything in a file of `size` bytes, so that a bomb cannot be cut into many small
    ones.
    """

    def __init__(self, limits: Limits, size: int) -> None:
        growth = 1 + min(size / LARGE, MOST_GROWTH)
        given, defaults = limits._asdict(), SCAN_LIMITS._asdict()
        self.limits = limits._replace(**{name: int(growth * given[name]) for name in COUNTED if given[name] == defaults[name]})
        self.opcodes = self.pickles = self.entries = self.inflated = 0

    def read(self, data: Bytes, at: int, skip: Skip | None = None) -> Pickle:
        """Read the pickle at byte `at` with the opcodes that remain; where they do not suffice, the pickle has an anomaly."""
        pickle = read_seen(data, at, self.limits, skip, self.opcodes)
        self.opcodes += pickle.cost + PART_COST
        return pickle

    def count_part(self) -> None:
        """Raises LimitError if there were too many parts or opcodes before."""
        self.opcodes += PART_COST
        if self.opcodes > self.limits.opcodes:
            raise beyond("opcodes", self.limits.opcodes, "the file has more opcodes and parts than")

    def count_pickle(self) -> None:
        """Raises LimitError if there were too many."""
        self.pickles += 1
        if self.pickles > self.limits.pickles:
            raise beyond("pickles", self.limits.pickles, "the file contains more pickles than")

    def count_entries(self, count: int) -> None:
        """Raises LimitError if there are more entries in all zips than one may have."""
        self.entries += count
        if self.entries > self.limits.entries:
            raise beyond("entries", self.limits.entries, "the zips of the file have more entries than")

    def inflate(self, size: int) -> None:
        """Reserve `size` bytes, before they are decompressed if the size is known; raises LimitError if there are too many."""
        self.inflated += size
        if self.inflated > self.limits.inflated_bytes:
            raise beyond("inflated_bytes", self.limits.inflated_bytes, "the compressed content of the file has more bytes than")


class Reading(Enum):
    """What a loader may take a region for."""

    ANYTHING = auto()
    """Whatever the bytes have the signature of, and pickles, which need none."""

    STORAGE = auto()
    """The data of a tensor: only its beginning is read, if it begins like a pickle."""

    LEFTOVER = auto()
    """Bytes that no loader reads: a pickle there is hidden, and read whole."""

    BYTES = auto()
    """Bytes inside a pickle that are neither a zip nor compressed: they may be a pickle themselves."""

    TEXT = auto()
    """A text inside a pickle: words may look like imports, so it is a pickle only if it calls something."""


class Region(NamedTuple):
    """A stretch of bytes to be read.

    `location` says where it is, "" for the file itself; `depth` is the number of regions around it. What it holds need not be
    readable if `is_optional`, has to be a pickle if `is_loaded` (a pickle passes the bytes to a loader), and is a hidden
    pickle, if any, if `is_hidden`. What is inside a region that is optional or hidden is so, too. If `is_other`, it is a file
    of another kind as well, or decoded from a text, so it may begin like a harmless pickle by chance.
    """

    source: Source
    budget: Budget
    trusted: Trust = NOTHING
    location: str = ""
    reading: Reading = Reading.ANYTHING
    depth: int = 0
    is_optional: bool = False
    is_loaded: bool = False
    is_hidden: bool = False
    is_other: bool = False

    def inner(
        self,
        source: Source,
        what: str,
        reading: Reading = Reading.ANYTHING,
        is_optional: bool = False,
        is_loaded: bool = False,
        is_hidden: bool = False,
    ) -> "Region":
        """A region inside this one."""
        return self._replace(
            source=source,
            location=inside(self.location, what),
            reading=reading,
            depth=self.depth + 1,
            is_optional=self.is_optional or is_optional,
            is_loaded=is_loaded,
            is_hidden=self.is_hidden or is_hidden,
            is_other=False,
        )

    def part(self, source: Source, what: str) -> "Region":
        """A part of this region, which the reader of this one reads itself."""
        return self._replace(source=source, location=inside(self.location, what))

    def pickle(
        self,
        pickle: Pickle,
        what: str = "",
        part: Part | None = None,
        is_hidden: bool = False,
        trailing: int = 0,
        is_script: bool = False,
        source: Source | None = None,
    ) -> PickleStream:
        """A pickle in this region, or in a `source` that is a part of it. Raises LimitError if the file has too many."""
        self.budget.count_pickle()
        location = inside(self.location, what)
        hidden, source = self.is_hidden or is_hidden, self.source if source is None else source
        return PickleStream(location, pickle, part, self.trusted, hidden, trailing, is_script=is_script, source=source)

    def at(self, offset: int) -> int:
        """A byte of this region from the start of the file, or of what it was unpacked from."""
        return position(self.source, offset).offset

    def note(self, kind: NoteKind, message: str, offset: int | None = None, what: str = "") -> Note:
        return Note(inside(self.location, what), kind, message, offset, self.source)


Item = Subject | Region
"""What a reader finds in a region: something for the rules, or another region."""


class Read(NamedTuple):
    """The loader interprets the region up to byte `end`: all of that was yielded, as subjects or as further regions."""

    end: int


class Refused(NamedTuple):
    """The loader raises an error before it interprets anything; `why` completes the sentence "this is ..."."""

    why: str


Outcome = Read | Refused
"""What became of a region in one reading. A reader has to return one, so it cannot leave bytes without a word."""

Reader = Callable[[Region], Generator[Item, None, Outcome]]
"""Reads a region as one kind of loader does. A PtzipError that it raises is a finding: the rest of the region is unknown."""


def inside(location: str, what: str) -> str:
    """A location inside another; the file itself has none."""
    return f"{location}, {what}" if location and what else location or what
