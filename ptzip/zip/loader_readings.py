"""How each loader opens a zip: one row of rules per loader, and the directory and entries that it finds by them.

Loaders agree on what a well-formed zip holds. On any other they may not: where the offsets count from, how many entries there
are and which zip64 record counts is up to each. A loader takes the last end record and no other, so that an earlier one is
never what a refused zip is read by. A row takes at least what its loader takes: what makes a loader refuse a single entry is
not repeated here.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.sources import Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.zip import structs
from ptzip.zip.find_archives import REACH, all_ends, find_end
from ptzip.zip.reader import Archive, read_directory

Place = Callable[[int, structs.Locator64], int]
"""Where a loader looks for the zip64 record, given the locator and its offset."""


def located(_: int, locator: structs.Locator64) -> int:
    return locator.offset


def adjacent(locator_offset: int, _: structs.Locator64) -> int:
    return locator_offset - structs.END64_SIZE


class Loader(NamedTuple):
    """The rules of one loader.

    The end record begins within the last `reach` bytes. The zip64 record is the first that is at one of the places `end64`;
    without one the plain end counts. Offsets count from byte 0 or, if `is_shifted`, from where the zip must begin for the
    directory to end at its end record. The directory has as many entries as are counted, or as its size allows.
    """

    name: str
    reach: int
    end64: tuple[Place, ...]
    is_shifted: bool
    is_counted: bool


LOADERS = (
    # third_party/miniz: mz_zip_reader_read_central_dir
    Loader("torch", REACH, (located,), is_shifted=False, is_counted=True),
    # Lib/zipfile: _EndRecData, _EndRecData64, ZipFile._RealGetContents; the second since 3.13.10 and 3.14.1
    Loader("zipfile", (1 << 16) + structs.END_SIZE, (adjacent,), is_shifted=True, is_counted=False),
    Loader("zipfile 3.14", structs.FULL16 + structs.END_SIZE, (located, adjacent), is_shifted=True, is_counted=False),
)


LOOSE = (LOADERS[0], Loader("a reader without zip64", REACH, (), is_shifted=False, is_counted=True))
"""How other programs read an end record that is not the last, or not the one that counts. Those that do not count from byte 0
are of zips inside this one.
"""


class LoaderReading(NamedTuple):
    """A zip as one loader sees it: an archive, or why it refuses."""

    loader: Loader
    archive: Archive | None
    refusal: str = ""


def readings(source: Source, limits: Limits = DEFAULT_LIMITS) -> list[LoaderReading]:
    """The readings of all loaders; those with the same entries share one archive. Raises LimitError beyond a limit."""
    end_offset, found, known = find_end(source), list[LoaderReading](), list[Archive]()
    for loader in LOADERS:
        try:
            if end_offset is None or end_offset < source.size - loader.reach:
                raise FormatError("there is no end of central directory where it looks for one")
            archive = read_by(loader, source, end_offset, limits, known)
        except FormatError as error:
            found.append(LoaderReading(loader, None, error.message))
        else:
            found.append(LoaderReading(loader, archive))
    return found


def disagreement(found: list[LoaderReading]) -> str:
    """What each loader makes of a zip, in one line; "" where all see the same."""
    if len({id(one.archive) for one in found}) == 1:
        return ""
    return "loaders disagree: " + "; ".join(
        f"{one.loader.name} refuses it ({one.refusal})"
        if one.archive is None
        else f"{one.loader.name} reads {len(one.archive.entries)} entries from the directory at byte {one.archive.start}"
        for one in found
    )


def other_archives(source: Source, known: list[Archive], limits: Limits = DEFAULT_LIMITS) -> list[Archive]:
    """The archives by end records that no loader takes, without those `known`."""
    found = list(known)
    for end_offset in all_ends(source):
        for loader in LOOSE:
            with contextlib.suppress(FormatError):
                read_by(loader, source, end_offset, limits, found)
    return [one for one in found[len(known) :] if one.entries]


def read_by(loader: Loader, source: Source, end_offset: int, limits: Limits, known: list[Archive]) -> Archive:
    """The archive that a loader finds by an end record, added to the `known` unless it is one. Raises FormatError."""
    data = source.read(end_offset, min(structs.END_SIZE + structs.FULL16, source.size - end_offset))
    end = structs.parse(structs.End, data, 0, end_offset, may_end=True)
    end64, at = _end64(loader, source, end_offset)
    facts = end64 or end
    stop = end_offset if end64 is None else at
    size, count = facts.directory_size, facts.entries if loader.is_counted else None
    base = stop - size - facts.directory_offset if loader.is_shifted else 0
    start = base + facts.directory_offset
    for one in known:
        has_all = one.length == size if count is None else len(one.entries) >= count
        if (one.start, one.base) == (start, base) and has_all:
            return one
    left = limits._replace(entries=limits.entries - sum(len(one.entries) for one in known))
    entries, length = read_directory(source, start, size, base, count, left)
    known.append(Archive(source, entries, end, end_offset, end64, start, length, base))
    return known[-1]


def _end64(loader: Loader, source: Source, end_offset: int) -> tuple[structs.End64 | None, int]:
    """The zip64 record that a loader takes, and its offset; none without a locator, or where none is in its place."""
    at = end_offset - structs.LOCATOR64_SIZE
    if at < structs.END64_SIZE or source.read(at, 4) != structs.LOCATOR64_SIGNATURE:
        return None, 0
    locator = structs.read(structs.Locator64, source, at)
    for place in loader.end64:
        offset = place(at, locator)
        if offset + structs.END64_SIZE <= source.size and source.read(offset, 4) == structs.END64_SIGNATURE:
            return structs.read(structs.End64, source, offset), offset
    return None, 0
