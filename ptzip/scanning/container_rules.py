"""Rules about containers: headers, directories and names of zips that torch does not write, and notes about anything else.

What torch's own reader accepts counts (`caffe2/serialize/inline_container.cc`); that another reader may see something else is
a finding, however harmless both are.
"""

import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator

from ptzip.errors import FormatError
from ptzip.formats.torchzip import PICKLE, VERSION
from ptzip.io.sources import Source
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
"""APPNOTE 4.4.4: bits that say that the data are not to be read as they are."""

UNSAFE = re.compile(r"^(?:/|[A-Za-z]:)|(?:^|[/\\])\.\.(?:[/\\]|$)|\\|\x00")
"""Absolute names, names that lead out of their folder, and separators of some systems only."""

HARMLESS_FIELDS = frozenset(("time", "date", "needed", "made_by", "crc", "crc (descriptor)"))
"""Fields that torch ignores."""

LOOKED_AT = 1 << 16
"""Bytes of a gap that are searched for a local header."""


def double_names(found: ZipSubject) -> Iterator[Hit]:
    """Which of several records with one name torch reads depends on their number; a scanner may read another."""
    names = Counter(entry.name.lower() for entry in found.archive.entries)
    for name, count in names.items():
        if count > 1:
            yield Hit(f"there are {count} records named {name}; which one is read depends on the reader")


def differing_headers(found: ZipSubject) -> Iterator[Hit]:
    """The two headers of an entry differ: torch reads by the central directory, other readers by the header before the data."""
    for entry in found.archive.entries:
        try:
            fields = [one for one in mismatches(entry) if one.field not in HARMLESS_FIELDS]
        except FormatError as error:
            yield Hit(f"{entry.name}: {error.message}", entry.header_offset)
            continue
        for one in fields:
            values = f"{one.central!r} in the central directory, but {one.local!r} in the local header"
            yield Hit(f"the {one.field} of {entry.name} is {values}", entry.header_offset)


def wrong_checksums(found: ZipSubject) -> Iterator[Hit]:
    """Some writers store no CRC or a wrong one, and torch does not check it. The bytes may be damaged."""
    for name in found.wrong_crcs:
        yield Hit(f"the CRC of {name} does not match its bytes; torch does not check it")


def closed_flags(found: ZipSubject) -> Iterator[Hit]:
    """Some readers skip an entry that is marked as encrypted or as a patch, others read it as it is."""
    for entry in found.archive.entries:
        if (entry.central.flags | _local_flags(entry)) & CLOSED_FLAGS:
            yield Hit(f"{entry.name} is marked as encrypted or patched", entry.header_offset)


def _local_flags(entry: Entry) -> int:
    try:
        return entry.local.flags
    except FormatError:
        return 0


def other_directories(found: ZipSubject) -> Iterator[Hit]:
    """A zip is read from its end record. This one has several: readers that use another one find other records."""
    for offset in found.directories:
        yield Hit("there is another central directory, which some readers use", offset)


def unsafe_names(found: ZipSubject) -> Iterator[Hit]:
    """Unpacking the archive would write a file outside the target folder."""
    for entry in found.archive.entries:
        if UNSAFE.search(entry.name):
            yield Hit(f"the name {entry.name!r} leads out of the target folder", entry.header_offset)


def links(found: ZipSubject) -> Iterator[Hit]:
    """Unpacking the archive would create a link to any file of the disk."""
    for entry in found.archive.entries:
        if stat.S_ISLNK(entry.central.external >> 16):
            yield Hit(f"{entry.name} is a symbolic link", entry.header_offset)


def uncovered(found: ZipSubject) -> Iterator[Hit]:
    """Bytes are not listed in the central directory, or entries overlap: readers that walk the file see other records."""
    at = 0
    for start, end, name in _stretches(found):
        if start > at:
            yield from _gap(found.source, at, start)
        elif start < at:
            yield Hit(f"{name} overlaps the entry before it", start)
        at = max(at, end)
    directory = (found.archive.end64 or found.archive.end).directory_offset
    if at < directory:
        yield from _gap(found.source, at, directory)


def _stretches(found: ZipSubject) -> list[tuple[int, int, str]]:
    """The start and end of each entry, including its data descriptor, in the order of the file."""
    placed = list[tuple[int, int, str]]()
    for entry in found.archive.entries:
        try:
            end = entry.data_offset + entry.compressed_size
            after = found.source.read(end, min(DESCRIPTOR64_SIZE, max(found.source.size - end, 0)))
        except FormatError:
            continue
        placed.append((entry.header_offset, end + _descriptor_size(entry, after), entry.name))
    return sorted(placed)


def _descriptor_size(entry: Entry, after: bytes) -> int:
    """The length of a data descriptor, whose sizes may have 64 bits (APPNOTE 4.3.9.2); 0 where there is none."""
    if not after.startswith(DESCRIPTOR_SIGNATURE):
        return 0
    has_64_bits = after[8:] == build(Descriptor64(entry.crc, entry.compressed_size, entry.size))[8:]  # whatever the CRC
    return DESCRIPTOR64_SIZE if has_64_bits else DESCRIPTOR_SIZE


def _gap(source: Source, start: int, stop: int) -> Iterator[Hit]:
    data = source.read(start, min(stop - start, LOOKED_AT))
    if LOCAL_SIGNATURE in data:
        yield Hit("there is an entry that the central directory does not list", start + data.find(LOCAL_SIGNATURE))
    elif any(data):
        yield Hit(f"{stop - start:,} bytes belong to no entry", start)


def after_the_end(found: ZipSubject) -> Iterator[Hit]:
    """Something follows the end of the zip. torch ignores it; it was scanned all the same."""
    data = _after_end(found)
    if any(data):
        yield Hit(f"{len(data):,} bytes follow the end of the zip", found.source.size - len(data))


def padded(found: ZipSubject) -> Iterator[Hit]:
    """Zeros at the end, as some storage systems pad files."""
    data = _after_end(found)
    if data and not any(data):
        yield Hit(f"{len(data):,} zeros follow the end of the zip", found.source.size - len(data))


def _after_end(found: ZipSubject) -> bytes:
    """The bytes after the end record and its comment."""
    at = found.archive.end_offset + END_SIZE + len(found.archive.end.comment)
    return found.source.read(at, found.source.size - at) if found.source.size > at else b""


def several_roots(found: ZipSubject) -> Iterator[Hit]:
    """A torch archive has one top folder; torch refuses other archives."""
    if found.prefix is None:
        return
    others = sorted({entry.name for entry in found.archive.entries if not entry.name.startswith(found.prefix)})
    if others:
        yield Hit(f"the record {others[0]} is outside the folder {found.prefix!r}, so torch refuses the file")


def no_version(found: ZipSubject) -> Iterator[Hit]:
    """torch refuses an archive without this record, so torch did not write it."""
    names = {entry.name.lower() for entry in found.archive.entries}
    prefix = (found.prefix or "").lower()
    if found.prefix is not None and not names & {prefix + VERSION, f"{prefix}.data/{VERSION}"}:
        yield Hit("the record `version` is missing, which torch always writes")


def upper_case(found: ZipSubject) -> Iterator[Hit]:
    """torch compares names case-insensitively, so it reads this record."""
    for entry in found.archive.entries if found.prefix is not None else ():
        name = entry.name[len(found.prefix or "") :]
        if name != name.lower() and name.lower() == PICKLE:
            yield Hit(f"torch reads {entry.name} as {PICKLE}: it compares names case-insensitively")


def unsafe_members(found: MemberNames) -> Iterator[Hit]:
    """Unpacking the archive would write a file outside the target folder."""
    for name in found.names:
        if UNSAFE.search(name):
            yield Hit(f"the name {name!r} leads out of the target folder")


def reported(kind: NoteKind, why: str) -> Callable[[Note], Iterator[Hit]]:
    """The rule that reports the notes of one kind; `why` is its explanation."""

    def check(note: Note) -> Iterator[Hit]:
        if note.kind is kind:
            yield Hit(note.message, note.offset)

    check.__doc__ = why
    return check


archives_in_a_row = reported(
    NoteKind.SEVERAL,
    "The file is several zips one after the other, as torch.distributed.checkpoint writes them; each was scanned.",
)
strange_things = reported(
    NoteKind.STRANGE,
    "This is where no loader reads, or of a kind that cannot be scanned. It may be harmless, but that is unknown.",
)
bombs = reported(NoteKind.BOMB, "A small entry expands to something huge.")
over_a_limit = reported(NoteKind.LIMIT, "To read on would take more memory or time than any honest file does.")
code = reported(NoteKind.CODE, "Code is not part of a checkpoint. Loading may run, import or link it.")
torchscript = reported(
    NoteKind.TORCHSCRIPT,
    "A TorchScript archive contains a program; torch.load and torch.jit.load both accept it, and running the model runs it.",
)
torchscript_with_files = reported(NoteKind.FILES_CODE, "The program in the archive reads or writes files.")
