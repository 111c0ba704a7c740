"""Readers of zips. For each zip of a region, the archive that each loader sees in it is read, once where they see the same, and
every entry, whichever of several with one name a loader would pick.
"""

import re
import zlib
from collections.abc import Generator, Iterator
from itertools import islice

from ptzip.errors import LimitError, PtzipError
from ptzip.formats.container import Part
from ptzip.formats.signatures import Kind, is_tar, signature_of
from ptzip.formats.torchzip import PICKLE, STORAGES, finder, prefix_of, records, storage_patterns
from ptzip.io.payloads import read_all
from ptzip.io.sources import BytesSource, Position, Source, Window, position
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Refused, Region, inside
from ptzip.scanning.subjects import Note, NoteKind, ZipSubject
from ptzip.zip.extents import first_nonzero, gaps
from ptzip.zip.find_archives import find_end, read_end, zips_in
from ptzip.zip.loader_readings import disagreement, other_archives, readings
from ptzip.zip.reader import Archive, Entry
from ptzip.zip.structs import ENCRYPTED, END_SIZE, STORED

MOST_TIMES = 4
"""How often the bytes of a file may be read as those of entries. In an honest zip each belongs to one entry."""

OPENED_AS = 10
"""An archive counts as so many entries, since it takes the time of them to open."""

MOST_GAPS = 1000
"""Stretches between entries that are searched for pickles; honest zips have none."""

MOST_INFLATED = 1 << 26
"""Larger deflated entries are not read; torch deflates nothing that is large."""

MOST_GROWTH = 200
SMALL = 1 << 24
"""An entry is a bomb if it is not small and inflates to more than so many times its size."""


READ_AT_ONCE = 1 << 12
"""Stored entries of so few bytes are read once: many look at their beginning."""

NATIVE_NAMES = (".so", ".dll", ".dylib", ".pyd", ".exe", ".o", ".cubin")
SOURCE_NAMES = (".py", ".pyc", ".sh", ".bat", ".ps1", ".cpp", ".cu", ".js")
FILES = rb"\b(?:ops\.aten\.|aten::|torch\.)(?:save|from_file|load)\b"

MOST_CODE = 1 << 22
"""Bytes of TorchScript source that are searched."""


class _Done:
    """What was read of a region: archives by the place of their directory, and the contents of entries."""

    def __init__(self, size: int) -> None:
        self.archives = set[tuple[int, int, int]]()
        self.contents = set[tuple[object, ...]]()
        self.bytes_left = MOST_TIMES * size

    def count_bytes(self, size: int) -> None:
        """Raises LimitError where entries overlap so much that a few bytes would be read as many."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise LimitError(f"the entries overlap: they have more than {MOST_TIMES} times the bytes of the file")


def zip_files(region: Region) -> Generator[Item, None, Outcome]:
    """All zips of a region in a row, from the last to the first, and what precedes them.

    A loader may get one zip of the row or all of the region, and then some count offsets from its first byte. In a tar, what
    precedes and what follows the zips belongs to the tar, which is read as well.
    """
    source, refusals, done, is_in_tar = region.source, list[str](), _Done(region.source.size), is_tar(region.source)
    zips, before = zips_in(source)
    end = source.size
    for one in reversed(zips):
        what = "" if end == source.size else f"the zip that ends at byte {end}"
        end -= one.size
        part = region.part(_without_tail(one) if is_in_tar else one, what)
        refusals.append((yield from _one_zip(part, end, done)))
    if before or len(zips) > 1:
        refusals.append((yield from _one_zip(region, 0, done, is_again=True)))
    if all(refusals):
        return Refused(f"a zip that no loader reads: {refusals[0]}")
    if before and not is_in_tar:
        yield region.note(NoteKind.STRANGE, f"{before:,} bytes precede the zip")
        yield region.inner(Window(source, 0, before), "before the zip", Reading.LEFTOVER)
    elif len(zips) > 1:
        yield region.note(NoteKind.SEVERAL, f"{len(zips)} zips follow one another")
    return Read(source.size)


def _without_tail(source: Source) -> Source:
    """A zip up to the end of its comment."""
    at = find_end(source)
    size = source.size if at is None else at + END_SIZE + len(read_end(source, at).comment)
    return Window(source, 0, min(size, source.size))


def _one_zip(region: Region, offset: int, done: _Done, is_again: bool = False) -> Generator[Item, None, str]:
    """Every archive in a zip that was not read before; returns why torch refuses, if all loaders do.

    `offset` is that of the zip, which `is_again` one that was read in parts.
    """
    found = readings(region.source, region.budget.limits)
    taken = list({id(one.archive): one.archive for one in found if one.archive is not None}.values())
    others = other_archives(region.source, taken, region.budget.limits)
    views = {(offset + one.start, offset + one.base, len(one.entries)): one for one in taken + others}
    new = [archive for view, archive in views.items() if view not in done.archives]
    odd = [(why, new[0].start) for why in (disagreement(found),) if why and new]
    odd += [("there is another central directory, which some readers use", one.start) for one in others if one in new]
    for number, archive in enumerate(new):
        region.budget.count_entries(OPENED_AS + len(archive.entries))
        what = f"directory at byte {archive.start}" if number or is_again else ""
        reader = _ArchiveReader(region.part(region.source, what), archive, done, () if number else tuple(odd))
        if not number and not is_again:
            yield from _outside(region, reader.zip)
        yield from reader.items()
    done.archives.update(views)
    return "" if views else found[0].refusal


def _outside(region: Region, found: ZipSubject) -> Iterator[Item]:
    """Bytes that belong to no part of a zip, where a pickle may be hidden: between the parts, in the comment, after the end."""
    source, comment = region.source, found.archive.end_offset + END_SIZE
    end = comment + len(found.archive.end.comment)
    between = () if found.is_distant else islice(gaps(found.extents), MOST_GAPS)
    stretches = [*between, (comment, end), (end, source.size)]
    for start, stop in stretches:
        at = first_nonzero(source, start, stop)
        if at is not None:
            yield region.inner(
                Window(source, at, stop - at), f"bytes {region.at(at)} to {region.at(stop)} of the zip", Reading.LEFTOVER
            )


class _ArchiveReader:
    """Reads the entries of one archive."""

    def __init__(self, region: Region, archive: Archive, done: _Done, oddities: tuple[tuple[str, int], ...]) -> None:
        self.region = region
        self.archive = archive
        self.done = done
        self.prefix = prefix_of(archive.entries[0].name) if archive.entries else ""
        self.records = records(archive, self.prefix)
        self.is_torch = PICKLE in self.records
        prefix = self.prefix if self.is_torch else None
        self.zip = ZipSubject(region.location, region.source, archive, prefix, oddities)
        self.part: Part | None = None
        self.is_script = "constants.pkl" in self.records  # as for `torch/serialization.py`, `_is_torchscript_zip`
        has_several = self.is_script or ".data/extern_modules" in self.records  # torch.package
        self.is_plain = self.is_torch and not has_several

    def items(self) -> Iterator[Item]:
        """What is in the entries, the pickle that torch reads first; then the zip itself."""
        pickles = [entry for entry in self.archive.entries if self._is_pickle(entry)]
        for entry in sorted(pickles, key=lambda entry: self._record_name(entry) != PICKLE):
            if self._is_new(entry, "pickle"):
                yield from self._pickle(entry)
        storages = self._storages()
        if self.zip.is_distant:
            self.zip.unread = frozenset(storages)
            message = f"{len(storages):,} storages were not fetched, nor what is between the records: scan --whole fetches them"
            yield self.region.note(NoteKind.DISTANT, message)
        for entry in self.zip.entries_read:
            is_folder = entry.name.endswith("/") and not entry.size
            if not is_folder and not self._is_pickle(entry):
                is_storage = entry.name.lower() in storages
                if self._is_new(entry, "storage" if is_storage else "other"):
                    yield from self._other(entry, is_storage)
        yield self.zip

    def _is_new(self, entry: Entry, reading: str) -> bool:
        """Whether the contents of an entry were not read so before: archives share entries, and entries their bytes."""
        known, size = self.done.contents, len(self.done.contents)
        known.add((reading, id(entry.source), entry.header_offset, entry.compressed_size, entry.size, entry.method))
        return len(known) > size

    def _record_name(self, entry: Entry) -> str:
        """The name by which torch looks a record up."""
        return entry.name[len(self.prefix) :].lower()

    def _is_pickle(self, entry: Entry) -> bool:
        return self.is_torch and entry.name.lower().endswith(".pkl")

    def _storages(self) -> set[str]:
        """The names of the entries that the pickle refers to as storages."""
        try:
            known = self.part.storages if self.part is not None else {}
        except PtzipError:  # PTZ403 reports it
            known = {}
        return {f"{self.prefix}{STORAGES}{key}".lower() for key in known}

    def _pickle(self, entry: Entry) -> Iterator[Item]:
        name, what = self._record_name(entry), f"record {entry.name}"
        opened = self._opened(entry)
        if isinstance(opened, Note):
            yield opened
            return
        if opened.size > self.region.budget.limits.pickle_bytes:
            message = f"a pickle of {opened.size:,} bytes is larger than the limit"
            yield self.region.note(NoteKind.LIMIT, message, what=what)
            return
        data = opened.read(0, opened.size)
        if zlib.crc32(data) != entry.crc:
            self.zip.wrong_crcs.append(entry.name)
        pickle = self.region.budget.read(data, 0)
        part = Part(f"record {name}", pickle, finder(storage_patterns(name), self.records), source=opened)
        if name == PICKLE and self.part is None:
            self.part = part
        trailing = len(data) - pickle.end if pickle.root is not None else 0
        is_hidden = self.is_plain and name != PICKLE
        yield self.region.pickle(pickle, what, part, is_hidden, trailing, self.is_script, opened)
        if trailing:
            window = Window(opened, pickle.end, trailing)
            yield self.region.inner(window, f"{what}, after the pickle", Reading.LEFTOVER)

    def _other(self, entry: Entry, is_storage: bool) -> Iterator[Item]:
        """A storage, or an entry that no pickle refers to: code, another container, a pickle, or just data."""
        what = f"record {entry.name}"
        opened = self._opened(entry)
        if isinstance(opened, Note):
            yield opened
        elif is_storage:
            yield self.region.inner(opened, what, Reading.STORAGE)
        elif code := list(code_notes(opened, entry.name, inside(self.region.location, what))):
            yield from code
            yield self.region.inner(opened, what, Reading.LEFTOVER)
        elif opened.size:
            yield self.region.inner(opened, what, is_optional=True, is_hidden=self.is_plain)

    def _opened(self, entry: Entry) -> Source | Note:
        """The bytes of an entry, or why they are not read."""
        what = f"record {entry.name}"
        try:
            if entry.method == STORED and not entry.central.flags & ENCRYPTED:
                length = max(entry.stored.length, entry.size)  # torch reads one of the two, zipfile the smaller
                self.done.count_bytes(entry.stored.length)
                window = Window(entry.source, entry.data_offset, min(length, entry.source.size - entry.data_offset))
                if length > READ_AT_ONCE:
                    return window
                return BytesSource(window.read(0, window.size), entry.name, position(window, 0))
            payload = entry.payload
            if entry.size > SMALL and entry.size > MOST_GROWTH * max(entry.compressed_size, 1):
                message = f"{entry.compressed_size:,} bytes expand to {entry.size:,}"
                return self.region.note(NoteKind.BOMB, message, what=what)
            if entry.size > MOST_INFLATED:
                message = f"{entry.size:,} inflated bytes exceed the limit of {MOST_INFLATED:,}"
                return self.region.note(NoteKind.BOMB, message, what=what)
            self.region.budget.inflate(entry.size)
            return BytesSource(read_all(payload), entry.name, Position(0, entry.name))
        except LimitError:
            raise
        except PtzipError as error:
            return self.region.note(NoteKind.STRANGE, f"it cannot be read: {error.message}", entry.header_offset, what)


def code_notes(source: Source, name: str, location: str) -> Iterator[Note]:
    """What code an archive entry holds, by content or name. It is not analysed, but for TorchScript that touches files."""
    lower, head = name.lower(), source.read(0, min(source.size, 8)) if source.size else b""
    row = signature_of(head, Kind.NATIVE, Kind.SCRIPT) if head else None
    if lower.endswith(NATIVE_NAMES) or (row is not None and row.kind is Kind.NATIVE):
        yield Note(location, NoteKind.CODE, "this is native code")
    elif "/code/" in lower and lower.endswith(".py"):
        yield Note(location, NoteKind.TORCHSCRIPT, "this is TorchScript code, which loading may run")
        found = re.search(FILES, source.read(0, min(source.size, MOST_CODE)))
        if found:
            yield Note(
                location, NoteKind.FILES_CODE, f"TorchScript code calls {found.group().decode('ascii')}", found.start(), source
            )
    elif row is not None or lower.endswith(SOURCE_NAMES):
        yield Note(location, NoteKind.CODE, "this is source code")
