"""Rules about containers: zips whose headers, directories and names no writer of torch makes, and what else was met.

Rule: what torch's own reader takes is what counts (`caffe2/serialize/inline_container.cc`); where another reader may come to
something else, that is a finding, however harmless either is.
"""

import re
import stat
from collections import Counter
from collections.abc import Iterator

from ptzip.errors import FormatError
from ptzip.formats.torchzip import PICKLE, VERSION
from ptzip.io.sources import Source
from ptzip.scanning.code_rules import noted
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import MemberNames, Note, NoteKind, ZipSubject
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.reader import Entry
from ptzip.zip.structs import (
    DESCRIPTOR64_SIZE,
    DESCRIPTOR_SIGNATURE,
    DESCRIPTOR_SIZE,
    ENCRYPTED,
    END_SIZE,
    LOCAL_SIGNATURE,
    MASKED,
    PATCHED,
    STRONGLY_ENCRYPTED,
    Descriptor64,
    build,
)

CLOSED_FLAGS = ENCRYPTED | PATCHED | MASKED | STRONGLY_ENCRYPTED
"""APPNOTE 4.4.4: bits by which a reader takes data for something else than they are."""

UNSAFE = re.compile(r"^(?:/|[A-Za-z]:)|(?:^|[/\\])\.\.(?:[/\\]|$)|\\|\x00")
"""Absolute names, names that climb out of their folder, and what only some systems take for a folder's mark."""

HARMLESS_FIELDS = frozenset(("time", "date", "needed", "made_by", "crc", "crc (descriptor)"))
"""What no reader of torch goes by."""

LOOKED_AT = 1 << 16


def double_names(found: ZipSubject) -> Iterator[Hit]:
    """torch finds records by a binary search over names in lower case: which of two is read depends on how many there are. A
    scanner that reads the other one sees nothing.
    """
    names = Counter(entry.name.lower() for entry in found.archive.entries)
    for name, count in names.items():
        if count > 1:
            yield Hit(f"{name} is there {count} times, and which one is read depends on the reader")


def differing_headers(found: ZipSubject) -> Iterator[Hit]:
    """Every entry of a zip has two headers. torch goes by the directory, other readers by the header in front of the data;
    where they differ, they read different things.
    """
    for entry in found.archive.entries:
        try:
            fields = [one for one in mismatches(entry) if one.field not in HARMLESS_FIELDS]
        except FormatError as error:
            yield Hit(f"{entry.name}: {error.message}", entry.header_offset)
            continue
        for one in fields:
            told = f"{one.field} {one.central!r} in the directory and {one.local!r} in its own header"
            yield Hit(f"{entry.name} has {told}", entry.header_offset)


def wrong_checksums(found: ZipSubject) -> Iterator[Hit]:
    """Some writers store no CRC or a wrong one, and torch does not ask. The bytes may be damaged."""
    for name in found.wrong_crcs:
        yield Hit(f"the CRC of {name} is not that of its bytes, which torch does not ask for")


def closed_flags(found: ZipSubject) -> Iterator[Hit]:
    """Bits that say that an entry is encrypted or a patch make some readers skip it, while others read it as it is."""
    for entry in found.archive.entries:
        if (entry.central.flags | _local_flags(entry)) & CLOSED_FLAGS:
            yield Hit(f"{entry.name} is said to be encrypted or patched", entry.header_offset)


def _local_flags(entry: Entry) -> int:
    try:
        return entry.local.flags
    except FormatError:
        return 0


def other_directories(found: ZipSubject) -> Iterator[Hit]:
    """A zip is read from its end, and there are several ends: readers that take another one find other records."""
    for offset in found.directories:
        yield Hit("there is another central directory, which some readers take", offset)


def unsafe_names(found: ZipSubject) -> Iterator[Hit]:
    """Whoever unpacks the archive would write outside the folder."""
    for entry in found.archive.entries:
        if UNSAFE.search(entry.name):
            yield Hit(f"the name {entry.name!r} leads out of the folder it is unpacked to", entry.header_offset)


def links(found: ZipSubject) -> Iterator[Hit]:
    """Whoever unpacks the archive gets a link to any place of the disk."""
    for entry in found.archive.entries:
        if stat.S_ISLNK(entry.central.external >> 16):
            yield Hit(f"{entry.name} is a symbolic link", entry.header_offset)


def uncovered(found: ZipSubject) -> Iterator[Hit]:
    """Bytes between the entries that the directory does not name, or entries inside one another: readers that walk the file
    find other records than those that take the directory.
    """
    at = 0
    for start, end, name in _stretches(found):
        if start > at:
            yield from _gap(found.source, at, start)
        elif start < at:
            yield Hit(f"{name} lies inside the entry before it", start)
        at = max(at, end)
    directory = (found.archive.end64 or found.archive.end).directory_offset
    if at < directory:
        yield from _gap(found.source, at, directory)


def _stretches(found: ZipSubject) -> list[tuple[int, int, str]]:
    """Where each entry begins and ends, its descriptor included, in the order of the file."""
    placed = list[tuple[int, int, str]]()
    for entry in found.archive.entries:
        try:
            end = entry.data_offset + entry.compressed_size
            behind = found.source.read(end, min(DESCRIPTOR64_SIZE, max(found.source.size - end, 0)))
        except FormatError:
            continue
        placed.append((entry.header_offset, end + _descriptor_size(entry, behind), entry.name))
    return sorted(placed)


def _descriptor_size(entry: Entry, behind: bytes) -> int:
    """The length of the descriptor behind the data: with sizes of 64 bits where they are large, or where it fits them."""
    if not behind.startswith(DESCRIPTOR_SIGNATURE):
        return 0
    has_64_bits = behind[8:] == build(Descriptor64(entry.crc, entry.compressed_size, entry.size))[8:]  # whatever the CRC
    return DESCRIPTOR64_SIZE if has_64_bits else DESCRIPTOR_SIZE


def _gap(source: Source, start: int, stop: int) -> Iterator[Hit]:
    data = source.read(start, min(stop - start, LOOKED_AT))
    if LOCAL_SIGNATURE in data:
        yield Hit("an entry is there that the directory does not name", start + data.find(LOCAL_SIGNATURE))
    elif any(data):
        yield Hit(f"{stop - start:,} bytes belong to no entry", start)


def behind_the_end(found: ZipSubject) -> Iterator[Hit]:
    """Something follows the end of the zip. torch ignores it; it is looked into all the same."""
    data = _behind(found)
    if any(data):
        yield Hit(f"{len(data):,} bytes follow the end of the zip", found.source.size - len(data))


def padded(found: ZipSubject) -> Iterator[Hit]:
    """Zeros at the end, as some storage systems pad files."""
    data = _behind(found)
    if data and not any(data):
        yield Hit(f"{len(data):,} zeros follow the end of the zip", found.source.size - len(data))


def _behind(found: ZipSubject) -> bytes:
    """What follows the end record and its comment."""
    at = found.archive.end_offset + END_SIZE + len(found.archive.end.comment)
    return found.source.read(at, found.source.size - at) if found.source.size > at else b""


def several_roots(found: ZipSubject) -> Iterator[Hit]:
    """An archive of torch has one top folder; torch refuses others."""
    if found.prefix is None:
        return
    others = sorted({entry.name for entry in found.archive.entries if not entry.name.startswith(found.prefix)})
    if others:
        yield Hit(f"there are records outside the folder {found.prefix!r}, which torch refuses: {others[0]}")


def no_version(found: ZipSubject) -> Iterator[Hit]:
    """torch refuses an archive without this record, so no torch wrote it."""
    names = {entry.name.lower() for entry in found.archive.entries}
    prefix = (found.prefix or "").lower()
    if found.prefix is not None and not names & {prefix + VERSION, f"{prefix}.data/{VERSION}"}:
        yield Hit("there is no record version, which torch always writes")


def upper_case(found: ZipSubject) -> Iterator[Hit]:
    """torch looks names up without regard to case, and so is this record read."""
    for entry in found.archive.entries if found.prefix is not None else ():
        name = entry.name[len(found.prefix or "") :]
        if name != name.lower() and name.lower() == PICKLE:
            yield Hit(f"{entry.name} is read as {PICKLE}: torch does not mind case")


def unsafe_members(found: MemberNames) -> Iterator[Hit]:
    """Whoever unpacks the archive would write outside the folder."""
    for name in found.names:
        if UNSAFE.search(name):
            yield Hit(f"the name {name!r} leads out of the folder it is unpacked to")


def archives_in_a_row(note: Note) -> Iterator[Hit]:
    """Several archives in a row, as torch.distributed.checkpoint writes them; each was scanned."""
    yield from noted(note, NoteKind.SEVERAL)


def strange_things(note: Note) -> Iterator[Hit]:
    """Something stands where no loader looks, or is of a kind that cannot be looked into. It may be harmless, but nobody can
    tell.
    """
    yield from noted(note, NoteKind.STRANGE)


def bombs(note: Note) -> Iterator[Hit]:
    """A small entry that unpacks to something huge."""
    yield from noted(note, NoteKind.BOMB)


def over_a_limit(note: Note) -> Iterator[Hit]:
    """Reading on would take more than any honest file does."""
    yield from noted(note, NoteKind.LIMIT)
