"""The end of a zip: whether its records agree with one another and with the entries.

Every number that any reader uses is compared, since some readers use the zip64 end record and others ignore it.
"""

import contextlib
from collections.abc import Iterator

from ptzip.errors import FormatError, Problem
from ptzip.io.sources import Source
from ptzip.zip import structs
from ptzip.zip.find_archives import all_ends
from ptzip.zip.reader import Archive
from ptzip.zip.structs import FULL16, FULL32

COUNTED = {"entries_here": FULL16, "entries": FULL16, "directory_size": FULL32, "directory_offset": FULL32}
"""The numbers in both end records, and what the old record holds where only the zip64 record has the number (APPNOTE
4.4.1.4)."""

TAIL = 1 << 18
"""The last entry of a directory, the end records and a comment take at most so many bytes together."""


def directory_problems(archive: Archive) -> Iterator[Problem]:
    """Where the end records contradict one another, the directory or the entries, and what follows them."""
    yield from end_problems(archive)
    yield from _overlaps(archive)
    yield from _unfinished_zip(archive)


def end_problems(archive: Archive) -> Iterator[Problem]:
    """Where the end records contradict one another or the directory."""
    end, end64 = archive.end, archive.end64
    if end64 is not None:
        numbers, numbers64 = end._asdict(), end64._asdict()
        for field, full in COUNTED.items():
            if numbers[field] not in (numbers64[field], full):
                message = f"{field} is {numbers[field]} in the end record, but {numbers64[field]} in the zip64 end record"
                yield Problem("header", "", message, archive.end_offset)
    counts = end64 or end
    if counts.entries_here != counts.entries:
        message = f"the end record counts {counts.entries_here} entries on this disk, but {counts.entries} in total"
        yield Problem("header", "", message, archive.end_offset)
    yield from _disks(archive)
    yield from _extent(archive)


def _disks(archive: Archive) -> Iterator[Problem]:
    """Disk numbers of a zip split over several disks, which torch refuses."""
    end, end64 = archive.end, archive.end64
    numbers = [("the disk of the end record", end.disk, 0), ("the directory's disk in the end record", end.directory_disk, 0)]
    if end64:
        locator = _locator(archive)
        numbers = [row for row in numbers if row[1] != FULL16]
        numbers += [("the disk in the zip64 locator", locator.disk, 0), ("the number of disks in it", locator.disks, 1)]
        numbers += [
            ("the disk of the zip64 end record", end64.disk, 0),
            ("the directory's disk in it", end64.directory_disk, 0),
        ]
    for what, number, expected in numbers:
        if number != expected:
            yield Problem("header", "", f"{what} is {number}, expected {expected}", archive.end_offset)


def _locator(archive: Archive) -> structs.Locator64:
    return structs.read(structs.Locator64, archive.source, archive.end_offset - structs.LOCATOR64_SIZE)


def _extent(archive: Archive) -> Iterator[Problem]:
    """A directory of another length than recorded, and bytes between it and the end records."""
    counts = archive.end64 or archive.end
    length = sum(structs.length_of(entry.central) for entry in archive.entries)
    stop = counts.directory_offset + length
    follows = archive.end_offset if archive.end64 is None else _locator(archive).offset
    if length != counts.directory_size:
        message = f"the central directory is recorded as {counts.directory_size} bytes, but its entries take {length}"
        yield Problem("header", "", message, counts.directory_offset)
    if stop != follows:
        message = f"the central directory ends at byte {stop}, but its end record begins at byte {follows}"
        yield Problem("header", "", message, stop)


def _overlaps(archive: Archive) -> Iterator[Problem]:
    """Records that overlap the next one or the directory."""
    entries = sorted(archive.entries, key=lambda entry: entry.header_offset)
    stops = [*(entry.header_offset for entry in entries[1:]), (archive.end64 or archive.end).directory_offset]
    for entry, stop in zip(entries, stops, strict=False):
        with contextlib.suppress(FormatError):  # a missing local header is reported elsewhere
            if entry.data_offset + entry.compressed_size > stop:
                message = f"it overlaps what begins at byte {stop:,}"
                yield Problem("header", entry.name, message, entry.header_offset)


def _unfinished_zip(archive: Archive) -> Iterator[Problem]:
    """Another zip that begins after this one and has no end: shards are several zips in a row."""
    at = archive.end_offset + structs.END_SIZE + len(archive.end.comment)
    head = archive.source.read(at, min(len(structs.LOCAL_SIGNATURE), archive.source.size - at))
    if head and structs.LOCAL_SIGNATURE.startswith(head):
        message = "it is cut off: another zip begins after the end of this one, and has no end"
        yield damaged_end(archive.source) or Problem("cut", "", message, at)


def unreadable(source: Source, error: FormatError) -> Problem:
    """The problem of a zip whose directory cannot be read; it was cut off only if its comment, which comes last, is
    incomplete."""
    at = all_ends(source)[0]
    there = source.size - at - structs.END_SIZE
    (length,) = structs.lengths(structs.End, source.read(at, structs.END_SIZE))
    if 0 < there < length:
        return Problem("cut", "", f"it is cut off: {there} of the {length} bytes of its comment are there", at)
    return Problem("header", "", error.message, error.offset, error.inside)


def damaged_end(source: Source) -> Problem | None:
    """The problem of an end record with a wrong signature after the last entry of a directory; None where there is none."""
    tail = min(source.size, TAIL)
    data = source.read(source.size - tail, tail)
    at = data.rfind(structs.CENTRAL_SIGNATURE)
    if at < 0 or at + structs.CENTRAL_SIZE > tail:
        return None
    at += structs.CENTRAL_SIZE + sum(structs.lengths(structs.CentralEntry, data, at))
    at += structs.END64_SIZE if data.startswith(structs.END64_SIGNATURE, at) else 0
    at += structs.LOCATOR64_SIZE if data.startswith(structs.LOCATOR64_SIGNATURE, at) else 0
    if at + structs.END_SIZE > tail or data.startswith(structs.END_SIGNATURE, at):
        return None
    end, offset = structs.numbers(structs.End, data, at), source.size - tail + at
    if end["directory_offset"] != FULL32 and end["directory_offset"] + end["directory_size"] > offset:
        return None
    return Problem("header", "", "the end of central directory record has a wrong signature", offset)
