"""The zips in a stretch of bytes, and what is in them: for each, the readings that different loaders take.

Rule: every central directory that a reader may come to is walked, and every entry is looked into, whichever of several with
one name a loader would read.
"""

import zlib
from collections.abc import Iterator

from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats.container import Part
from ptzip.formats.torchzip_records import PICKLE, STORAGES, finder, places, records
from ptzip.io.payloads import InflatedPayload, read_all
from ptzip.io.sources import BytesSource, Source, Window
from ptzip.scanning import code as texts
from ptzip.scanning.regions import BOMB, LIMIT, SEVERAL, STRANGE, UNREAD, Looker, Note, Stream, Subject, Zip, inside
from ptzip.zip.ends import all_ends, zips_in
from ptzip.zip.reader import Archive, Entry, read_archive
from ptzip.zip.structs import END_SIZE

MOST_INFLATED = 1 << 26
"""Larger deflated entries are not looked into; torch deflates nothing that is large."""

MOST_GROWTH = 200
SMALL = 1 << 24


class ZipWalk:
    """The zips of one source."""

    def __init__(self, walk: Looker, source: Source, place: str, depth: int) -> None:
        self.walk = walk
        self.source = source
        self.place = place
        self.depth = depth

    def subjects(self) -> Iterator[Subject]:
        """All zips one after the other, from the last to the first, and what stands before them."""
        zips, before = zips_in(self.source)
        end = self.source.size
        for one in reversed(zips):
            is_last = end == self.source.size
            yield from self._one(one, self.place if is_last else inside(self.place, f"the zip that ends at byte {end}"))
            end -= one.size
        if before:
            yield Note(self.place, STRANGE, "something stands before the zip")
            data = Window(self.source, 0, before)
            yield from self.walk.blob(data, inside(self.place, "before the zip"), self.depth, thorough=True)
        elif len(zips) > 1:
            yield Note(self.place, SEVERAL, f"{len(zips)} zips follow one another")

    def _one(self, source: Source, place: str) -> Iterator[Subject]:
        archives = list(_archives(source, self.walk))
        if not archives:
            try:
                read_archive(source, self.walk.budget.limits)
            except FormatError as error:
                yield Note(place, UNREAD, str(error))
            return
        offsets = tuple((archive.end64 or archive.end).directory_offset for archive in archives[1:])
        end = archives[0].end_offset + END_SIZE + len(archives[0].end.comment)
        if end < source.size:
            behind = Window(source, end, source.size - end)
            yield from self.walk.blob(behind, inside(place, "behind the zip"), self.depth, thorough=True)
        for number, archive in enumerate(archives):
            where = place if not number else inside(place, f"directory at byte {offsets[number - 1]}")
            yield from ArchiveWalk(self, source, where, archive, offsets if not number else ()).subjects()


def _archives(source: Source, walk: Looker) -> Iterator[Archive]:
    """The archives by each central directory that a reader may come to, the one that counts first."""
    seen = set[int]()
    for end in all_ends(source):
        for has_zip64 in (True, False):
            try:
                archive = read_archive(source, walk.budget.limits, end, has_zip64=has_zip64)
            except FormatError:
                continue
            offset = (archive.end64 or archive.end).directory_offset
            if archive.entries and offset not in seen:
                seen.add(offset)
                yield archive


class ArchiveWalk:
    """The entries of one archive."""

    def __init__(self, zips: ZipWalk, source: Source, place: str, archive: Archive, directories: tuple[int, ...]) -> None:
        self.walk, self.depth = zips.walk, zips.depth
        self.source, self.place, self.archive = source, place, archive
        first = archive.entries[0].name
        self.prefix = first[: first.find("/") + 1]
        self.records = records(archive, self.prefix)
        is_torch = PICKLE in self.records
        self.zip = Zip(place, source, archive, self.prefix if is_torch else None, directories)
        self.part: Part | None = None
        self.is_plain = is_torch and "constants.pkl" not in self.records and ".data/extern_modules" not in self.records

    def subjects(self) -> Iterator[Subject]:
        """What is in the entries, the pickle that torch reads first; then the zip itself."""
        pickles = [entry for entry in self.archive.entries if self._is_pickle(entry)]
        for entry in sorted(pickles, key=lambda entry: self._name(entry) != PICKLE):
            yield from self._pickle(entry)
        storages = self._storages()
        for entry in self.archive.entries:
            is_folder = entry.name.endswith("/") and not entry.size
            if not is_folder and not self._is_pickle(entry):
                yield from self._other(entry, entry.name.lower() in storages)
        yield self.zip

    def _name(self, entry: Entry) -> str:
        """The name of a record, as torch looks it up."""
        return entry.name[len(self.prefix) :].lower()

    def _is_pickle(self, entry: Entry) -> bool:
        return self.zip.prefix is not None and entry.name.lower().endswith(".pkl")

    def _storages(self) -> set[str]:
        """The entries that a pickle refers to as storages."""
        try:
            known = self.part.storages if self.part is not None else {}
        except PtzipError:  # a rule says so
            known = {}
        return {f"{self.prefix}{STORAGES}{key}".lower() for key in known}

    def _where(self, entry: Entry) -> str:
        return inside(self.place, f"record {entry.name}")

    def _pickle(self, entry: Entry) -> Iterator[Subject]:
        name = self._name(entry)
        opened = self._opened(entry)
        if isinstance(opened, Note):
            yield opened
            return
        if opened.size > self.walk.budget.limits.pickle_bytes:
            yield Note(self._where(entry), LIMIT, f"{opened.size:,} bytes are more than a pickle is to have")
            return
        data = opened.read(0, opened.size)
        if zlib.crc32(data) != entry.crc:
            self.zip.wrong.append(entry.name)
        pickle = self.walk.budget.read(data, 0)
        part = Part(f"record {name}", pickle, finder(places(name), self.records))
        if name == PICKLE and self.part is None:
            self.part = part
        left = len(data) - pickle.end if pickle.root is not None else 0
        is_hidden = self.is_plain and name != PICKLE
        where = self._where(entry)
        yield from self.walk.stream(Stream(where, pickle, part, self.walk.trusted, is_hidden, left), self.depth)
        if left:
            behind = Window(opened, pickle.end, left)
            yield from self.walk.blob(behind, inside(where, "behind the pickle"), self.depth, thorough=True)

    def _other(self, entry: Entry, is_storage: bool) -> Iterator[Subject]:
        where = self._where(entry)
        opened = self._opened(entry)
        if isinstance(opened, Note):
            yield opened
        elif is_storage:
            yield from self.walk.blob(opened, where, self.depth)
        else:
            yield from self._unknown(entry, opened, where)

    def _unknown(self, entry: Entry, opened: Source, where: str) -> Iterator[Subject]:
        """An entry that no pickle of torch refers to: code, another container, a pickle, or nothing of the kind."""
        found = list(texts.notes(opened, entry.name, where))
        yield from found
        if found:
            yield from self.walk.blob(opened, where, self.depth, thorough=True)
        elif opened.size:
            for subject in self.walk.contents(opened, where, self.depth + 1):
                if isinstance(subject, Stream) and self.is_plain:
                    subject.is_hidden = True
                if not isinstance(subject, Note) or subject.kind != UNREAD:
                    yield subject

    def _opened(self, entry: Entry) -> Source | Note:
        """The bytes of an entry, or what hinders."""
        try:
            payload = entry.payload
            if not isinstance(payload, InflatedPayload):
                stored = entry.stored
                return Window(stored.source, stored.offset, stored.length)
            if entry.size > SMALL and entry.size > MOST_GROWTH * max(entry.compressed_size, 1):
                return Note(self._where(entry), BOMB, f"{entry.compressed_size:,} bytes stand for {entry.size:,}")
            if entry.size > MOST_INFLATED:
                return Note(self._where(entry), BOMB, f"{entry.size:,} deflated bytes are more than are looked into")
            self.walk.budget.inflate(entry.size)
            return BytesSource(read_all(payload), entry.name)
        except LimitError:
            raise
        except PtzipError as error:
            return Note(self._where(entry), STRANGE, f"it cannot be read: {error}", entry.header_offset)
