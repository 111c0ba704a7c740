"""Readers of zips. For each zip of a region, every central directory that some loader may use is read, and every entry,
whichever of several with one name a loader would pick.
"""

import re
import zlib
from collections.abc import Generator, Iterator

from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats.container import Part
from ptzip.formats.signatures import Kind, signature_of
from ptzip.formats.torchzip import PICKLE, STORAGES, finder, prefix_of, records, storage_patterns
from ptzip.io.payloads import InflatedPayload, read_all
from ptzip.io.sources import BytesSource, Source, Window
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Region, inside
from ptzip.scanning.subjects import Note, NoteKind, ZipSubject
from ptzip.zip.find_archives import all_ends, zips_in
from ptzip.zip.reader import Archive, Entry, read_archive
from ptzip.zip.structs import END_SIZE

MOST_INFLATED = 1 << 26
"""Larger deflated entries are not read; torch deflates nothing that is large."""

MOST_GROWTH = 200
SMALL = 1 << 24
"""An entry is a bomb if it is not small and inflates to more than so many times its size."""


NATIVE_NAMES = (".so", ".dll", ".dylib", ".pyd", ".exe", ".o", ".cubin")
SOURCE_NAMES = (".py", ".pyc", ".sh", ".bat", ".ps1", ".cpp", ".cu", ".js")
FILES = re.compile(rb"\b(?:ops\.aten\.|aten::|torch\.)(?:save|from_file|load)\b")

MOST_CODE = 1 << 22
"""Bytes of TorchScript source that are searched."""


def zip_files(region: Region) -> Generator[Item, None, Outcome]:
    """All zips of a region in a row, from the last to the first, and what precedes them."""
    source = region.source
    zips, before = zips_in(source)
    end = source.size
    for one in reversed(zips):
        yield from _one_zip(region.part(one, "" if end == source.size else f"the zip that ends at byte {end}"))
        end -= one.size
    if before:
        yield region.note(NoteKind.STRANGE, f"{before:,} bytes precede the zip")
        yield region.inner(Window(source, 0, before), "before the zip", Reading.LEFTOVER)
    elif len(zips) > 1:
        yield region.note(NoteKind.SEVERAL, f"{len(zips)} zips follow one another")
    return Read(source.size)


def _one_zip(region: Region) -> Iterator[Item]:
    source = region.source
    archives = list(_archives(region))
    if not archives:
        try:
            read_archive(source, region.budget.limits)
        except FormatError as error:
            yield region.note(NoteKind.UNREAD, str(error))
        return
    offsets = tuple((archive.end64 or archive.end).directory_offset for archive in archives[1:])
    end = archives[0].end_offset + END_SIZE + len(archives[0].end.comment)
    if end < source.size:
        yield region.inner(Window(source, end, source.size - end), "after the zip", Reading.LEFTOVER)
    yield from _ArchiveReader(region, archives[0], offsets).items()
    for archive, offset in zip(archives[1:], offsets, strict=True):
        yield from _ArchiveReader(region.part(source, f"directory at byte {offset}"), archive).items()


def _archives(region: Region) -> Iterator[Archive]:
    """The archive by each central directory that a reader may use, the one that torch uses first."""
    seen = set[int]()
    for end in all_ends(region.source):
        for has_zip64 in (True, False):
            try:
                archive = read_archive(region.source, region.budget.limits, end, has_zip64=has_zip64)
            except FormatError:
                continue
            offset = (archive.end64 or archive.end).directory_offset
            if archive.entries and offset not in seen:
                seen.add(offset)
                yield archive


class _ArchiveReader:
    """Reads the entries of one archive."""

    def __init__(self, region: Region, archive: Archive, directories: tuple[int, ...] = ()) -> None:
        self.region = region
        self.archive = archive
        first = archive.entries[0].name
        self.prefix = prefix_of(first)
        self.records = records(archive, self.prefix)
        self.is_torch = PICKLE in self.records
        prefix = self.prefix if self.is_torch else None
        self.zip = ZipSubject(region.location, region.source, archive, prefix, directories)
        self.part: Part | None = None
        others = ("constants.pkl", ".data/extern_modules")  # of TorchScript and torch.package, which have several pickles
        self.is_plain = self.is_torch and not any(name in self.records for name in others)

    def items(self) -> Iterator[Item]:
        """What is in the entries, the pickle that torch reads first; then the zip itself."""
        pickles = [entry for entry in self.archive.entries if self._is_pickle(entry)]
        for entry in sorted(pickles, key=lambda entry: self._record_name(entry) != PICKLE):
            yield from self._pickle(entry)
        storages = self._storages()
        for entry in self.archive.entries:
            is_folder = entry.name.endswith("/") and not entry.size
            if not is_folder and not self._is_pickle(entry):
                yield from self._other(entry, entry.name.lower() in storages)
        yield self.zip

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
        part = Part(f"record {name}", pickle, finder(storage_patterns(name), self.records))
        if name == PICKLE and self.part is None:
            self.part = part
        trailing = len(data) - pickle.end if pickle.root is not None else 0
        yield self.region.pickle(pickle, what, part, is_hidden=self.is_plain and name != PICKLE, trailing=trailing)
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
            payload = entry.payload
            if not isinstance(payload, InflatedPayload):
                stored = entry.stored
                return Window(stored.source, stored.offset, stored.length)
            if entry.size > SMALL and entry.size > MOST_GROWTH * max(entry.compressed_size, 1):
                message = f"{entry.compressed_size:,} bytes expand to {entry.size:,}"
                return self.region.note(NoteKind.BOMB, message, what=what)
            if entry.size > MOST_INFLATED:
                message = f"{entry.size:,} inflated bytes exceed the limit of {MOST_INFLATED:,}"
                return self.region.note(NoteKind.BOMB, message, what=what)
            self.region.budget.inflate(entry.size)
            return BytesSource(read_all(payload), entry.name)
        except LimitError:
            raise
        except PtzipError as error:
            return self.region.note(NoteKind.STRANGE, f"it cannot be read: {error}", entry.header_offset, what)


def code_notes(source: Source, name: str, location: str) -> Iterator[Note]:
    """What code an archive entry holds, by content or name. It is not analysed, but for TorchScript that touches files."""
    lower = name.lower()
    head = source.read(0, min(source.size, 8))
    if signature_of(head, Kind.NATIVE) or lower.endswith(NATIVE_NAMES):
        yield Note(location, NoteKind.CODE, "this is native code")
    elif "/code/" in lower and lower.endswith(".py"):
        yield Note(location, NoteKind.TORCHSCRIPT, "this is TorchScript code, which loading may run")
        found = FILES.search(source.read(0, min(source.size, MOST_CODE)))
        if found:
            yield Note(location, NoteKind.FILES_CODE, f"TorchScript code calls {found.group().decode('ascii')}", found.start())
    elif lower.endswith(SOURCE_NAMES) or signature_of(head, Kind.SCRIPT):
        yield Note(location, NoteKind.CODE, "this is source code")
