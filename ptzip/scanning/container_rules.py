"""Rules about containers: headers, directories and names of zips that torch does not write, and notes about anything else.

What torch's own reader accepts counts (`caffe2/serialize/inline_container.cc`); that another reader may see something else is
a finding, however harmless both are.
"""

import re
import stat
import struct
from collections import Counter
from collections.abc import Callable, Iterator

from ptzip.errors import FormatError
from ptzip.formats.torchzip import PICKLE, VERSION
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import MemberNames, Note, NoteKind, ZipSubject
from ptzip.zip.directory_problems import end_problems
from ptzip.zip.extents import first_nonzero, gaps
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.structs import (
    ENCRYPTED,
    END_SIZE,
    FULL32,
    LOCAL_SIGNATURE,
    MASKED,
    PATCHED,
    STORED,
    STRONGLY_ENCRYPTED,
    ZIP64_FIELD,
    CentralEntry,
    decode_name,
    true_sizes,
)

DOS_FOLDER = 0x10
"""The bit of the external attributes by which miniz knows a folder (mz_zip_reader_is_file_a_directory)."""

UNICODE_PATH, UNICODE_PATH_HEAD = 0x7075, 5
"""The id of Info-ZIP's Unicode path field (APPNOTE 4.6.9), and the bytes before the name in it."""

FIELD_SIZE = 4
"""The id and length before an extra field."""

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
    for entry in found.entries_read:
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
    for entry in found.entries_read:
        if (entry.central.flags | entry.local_flags) & CLOSED_FLAGS:
            yield Hit(f"{entry.name} is marked as encrypted or patched", entry.header_offset)


def other_directories(found: ZipSubject) -> Iterator[Hit]:
    """A zip is read from its end record. This one has several, or one that contradicts itself: readers find other records."""
    yield from (Hit(*oddity) for oddity in found.oddities)
    yield from (Hit(problem.message, problem.offset) for problem in end_problems(found.archive))


def ambiguous_entries(found: ZipSubject) -> Iterator[Hit]:
    """Loaders read another length or another name than the directory seems to say, or nothing at all."""
    for entry in found.archive.entries:
        central = entry.central
        if entry.method == STORED and entry.size != entry.compressed_size:
            sizes = f"{entry.compressed_size:,} and {entry.size:,}"
            yield Hit(f"{entry.name} is stored, but its sizes are {sizes}: loaders read one or the other", entry.header_offset)
        if entry.size and (entry.name.endswith("/") or central.external & DOS_FOLDER):
            yield Hit(f"{entry.name} is marked as a folder, but has bytes, which torch does not read", entry.header_offset)
        if central.disk:
            yield Hit(f"the central directory places {entry.name} on another disk", entry.header_offset)
        if central.extra or FULL32 in (central.size, central.compressed_size, central.offset):
            yield from (Hit(f"{entry.name} {why}", entry.header_offset) for why in _odd_fields(central))


def _odd_fields(central: CentralEntry) -> Iterator[str]:
    """What is wrong with the extra fields of an entry: loaders stop at a broken one, or go on."""
    fields, rest = list[tuple[int, bytes]](), central.extra
    while len(rest) >= FIELD_SIZE:
        ident, length = struct.unpack_from("<HH", rest)
        fields.append((ident, rest[FIELD_SIZE : FIELD_SIZE + length]))
        if len(fields[-1][1]) < length:
            yield "has an extra field that is cut off"
        rest = rest[FIELD_SIZE + length :]
    if true_sizes(central) is None or [ident for ident, _ in fields].count(ZIP64_FIELD) > 1:
        yield "lacks its zip64 field, or has several"
    for ident, data in fields:
        if ident == UNICODE_PATH and data[UNICODE_PATH_HEAD:] != central.name:
            yield f"has another name in its Unicode path field, {decode_name(data[UNICODE_PATH_HEAD:])!r}"


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
    """Bytes belong to no part of the zip, or parts overlap: readers that walk the file see other records."""
    if found.is_distant:
        return
    at = 0
    for start, stop, name in found.extents:
        if start < at:
            yield Hit(f"{name} overlaps the entry before it", start)
        at = max(at, stop)
    for start, stop in gaps(found.extents):
        first = first_nonzero(found.source, start, stop)
        if first is not None:
            data = found.source.read(first, min(stop - first, LOOKED_AT))
            is_entry = LOCAL_SIGNATURE in data
            message = "there is an entry that the central directory does not list"
            yield Hit(message if is_entry else f"{stop - first:,} bytes belong to no entry", first)


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
distant = reported(
    NoteKind.DISTANT,
    "Of a large file at a URL, only what loaders unpickle is fetched, and what says where that is. What they do not read may "
    "hide a pickle from other readers: `scan --whole` fetches everything.",
)
code = reported(NoteKind.CODE, "Code is not part of a checkpoint. Loading may run, import or link it.")
torchscript = reported(
    NoteKind.TORCHSCRIPT,
    "A TorchScript archive contains a program; torch.load and torch.jit.load both accept it, and running the model runs it.",
)
torchscript_with_files = reported(NoteKind.FILES_CODE, "The program in the archive reads or writes files.")
