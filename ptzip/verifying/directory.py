"""The end of a zip: whether its records say the same, and speak of what is there.

Rule: every number that some reader uses is compared, since one reader takes the zip64 end and another does not look at it.
"""

import contextlib
from collections.abc import Iterator

from ptzip.errors import FormatError
from ptzip.io.sources import Source
from ptzip.verifying.report import CUT, HEADER, Problem
from ptzip.zip import structs
from ptzip.zip.ends import all_ends
from ptzip.zip.reader import Archive
from ptzip.zip.structs import FULL16, FULL32

COUNTED = {"entries_here": FULL16, "entries": FULL16, "directory_size": FULL32, "directory_offset": FULL32}
"""The numbers that both ends have, and what stands in the old one where only the zip64 end holds it (APPNOTE 4.4.1.4)."""

WRONG_SIGNATURE = "the end of a central directory stands here, but its signature is wrong"

TAIL = 1 << 18
"""The last entry of a directory, its ends and a comment are shorter together."""


def contradictions(archive: Archive) -> Iterator[Problem]:
    """Where the ends contradict one another or the directory, and what stands behind them."""
    end, end64 = archive.end, archive.end64
    for field, full in COUNTED.items() if end64 else ():
        old, wide = _number(end, field), _number(end64, field)
        if old not in (wide, full):
            yield Problem(HEADER, "", f"the end says {field} {old}, the zip64 end {wide}", archive.end_offset)
    facts = end64 or end
    if facts.entries_here != facts.entries:
        message = f"the end counts {facts.entries_here} entries of {facts.entries}"
        yield Problem(HEADER, "", message, archive.end_offset)
    yield from _disks(archive)
    yield from _extent(archive)
    yield from _overlaps(archive)
    yield from _behind(archive)


def _disks(archive: Archive) -> Iterator[Problem]:
    """Numbers of disks of a zip that lies on several, which torch refuses."""
    end, end64 = archive.end, archive.end64
    told = [("the end's disk", end.disk, 0), ("the end's disk of the directory", end.directory_disk, 0)]
    if end64:
        at = archive.end_offset - structs.LOCATOR64_SIZE
        locator = structs.read(structs.Locator64, archive.source, at)
        told = [row for row in told if row[1] != FULL16]
        told += [("the zip64 locator's disk", locator.disk, 0), ("its number of disks", locator.disks, 1)]
        told += [("the zip64 end's disk", end64.disk, 0), ("its disk of the directory", end64.directory_disk, 0)]
    for what, number, expected in told:
        if number != expected:
            yield Problem(HEADER, "", f"{what} is {number}, expected {expected}", archive.end_offset)


def _number(end: structs.End | structs.End64 | None, field: str) -> int:
    return int(end._asdict()[field]) if end else 0


def _extent(archive: Archive) -> Iterator[Problem]:
    """A directory that is not as long as it should be, and bytes between it and its end."""
    facts = archive.end64 or archive.end
    taken = sum(structs.length_of(entry.central) for entry in archive.entries)
    stop, follows = facts.directory_offset + taken, _first_end(archive)
    if taken != facts.directory_size:
        message = f"the central directory is said to take {facts.directory_size} bytes, its entries take {taken}"
        yield Problem(HEADER, "", message, facts.directory_offset)
    if stop != follows:
        message = f"the central directory ends at byte {stop}, and its end record does not follow but at byte {follows}"
        yield Problem(HEADER, "", message, stop)


def _overlaps(archive: Archive) -> Iterator[Problem]:
    """Records that reach into the next one, or into the directory."""
    entries = sorted(archive.entries, key=lambda entry: entry.header_offset)
    stops = [*(entry.header_offset for entry in entries[1:]), (archive.end64 or archive.end).directory_offset]
    for entry, stop in zip(entries, stops, strict=False):
        with contextlib.suppress(FormatError):  # one without a local header is told elsewhere
            if entry.data_offset + entry.compressed_size > stop:
                message = f"it reaches into what begins at byte {stop:,}"
                yield Problem(HEADER, entry.name, message, entry.header_offset)


def _first_end(archive: Archive) -> int:
    """Where the first of the end records is."""
    if archive.end64 is None:
        return archive.end_offset
    return structs.read(structs.Locator64, archive.source, archive.end_offset - structs.LOCATOR64_SIZE).offset


def _behind(archive: Archive) -> Iterator[Problem]:
    """A further zip that was begun: shards are zips one after the other."""
    at = archive.end_offset + structs.END_SIZE + len(archive.end.comment)
    head = archive.source.read(at, min(len(structs.LOCAL_SIGNATURE), archive.source.size - at))
    if not head or not structs.LOCAL_SIGNATURE.startswith(head):
        return
    place = nameless_end(archive.source)
    if place is not None:
        yield Problem(HEADER, "", WRONG_SIGNATURE, place)
    else:
        yield Problem(CUT, "", "it is cut off: a further zip begins behind the end of this one, and has no end", at)


def unreadable(source: Source, error: FormatError) -> Problem:
    """The problem of a zip whose directory cannot be read: only a comment, which stands last, can have been cut."""
    at = all_ends(source)[0]
    left = source.size - at - structs.END_SIZE
    (length,) = structs.lengths(structs.End, source.read(at, structs.END_SIZE))
    if 0 < left < length:
        return Problem(CUT, "", f"it is cut off: the comment at its end is {length} bytes long, and {left} are there", at)
    return Problem(HEADER, "", error.message, error.offset)


def nameless_end(source: Source) -> int | None:
    """Where an end record stands whose signature alone is wrong: behind the last entry of a directory; None where none does."""
    tail = min(source.size, TAIL)
    data = source.read(source.size - tail, tail)
    at = data.rfind(structs.CENTRAL_SIGNATURE)
    if at < 0 or at + structs.CENTRAL_SIZE > tail:
        return None
    at += structs.CENTRAL_SIZE + sum(structs.lengths(structs.CentralEntry, data, at))
    for signature, size in (
        (structs.END64_SIGNATURE, structs.END64_SIZE),
        (structs.LOCATOR64_SIGNATURE, structs.LOCATOR64_SIZE),
    ):
        at += size if data.startswith(signature, at) else 0
    if at + structs.END_SIZE > tail or data.startswith(structs.END_SIGNATURE, at):
        return None
    end = structs.numbers(structs.End, data, at)
    place, offset = source.size - tail + at, end["directory_offset"]
    return place if offset == FULL32 or offset + end["directory_size"] <= place else None
