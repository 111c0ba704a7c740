"""The way from a file to one byte of it: its part, and there the field, the opcode, or the element of tensors."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from ptzip.errors import EditError
from ptzip.formats.collection import Collection, Packed
from ptzip.formats.container import Part, nothing_stored
from ptzip.io.compression import compression_of, unpacked
from ptzip.io.sources import BytesSource, Position, Source, Window, position
from ptzip.limits import Limits
from ptzip.mapping.builds import Built, built
from ptzip.mapping.claims import FILE, PICKLE, STORAGE
from ptzip.mapping.elements import Element, element_at
from ptzip.mapping.fields import Field
from ptzip.mapping.owners import OpenedFile, Owner, offset_of
from ptzip.mapping.parts import CONTINUED, FilePart, part_at, parts_of
from ptzip.mapping.stream_claims import BROKEN
from ptzip.mapping.unfold import part_fields
from ptzip.mapping.where import Where
from ptzip.mapping.zip_claims import archives_of
from ptzip.pickling.reader import read_seen
from ptzip.zip.reader import Entry
from ptzip.zip.structs import DEFLATED


class Location(NamedTuple):
    """A byte: the part that it belongs to, and where that is a file of its own, the part there. By what that is, it has the
    fields of a structure, the outermost first, what an opcode builds, or an element of a storage. The end of the file, where
    messages about what is missing point, has no byte and is in no part.

    `offset` counts from the start of the file or of what `inside` names.
    """

    offset: int
    inside: str
    byte: int | None
    parts: tuple[FilePart, ...]
    fields: tuple[Field, ...] = ()
    built: Built | None = None
    element: Element | None = None


def locate(source: Source, places: Sequence[Where], limits: Limits) -> list[Location]:
    """The bytes at some places of a file, whether it opens or not. Raises EditError for a place without an offset or in what
    the file does not hold, FormatError where the file is shorter.
    """
    whole, found = _File(source, limits), dict[tuple[str, int], Location]()
    for name in dict.fromkeys(place.inside for place in places):
        offsets = [_offset(place) for place in places if place.inside == name]
        file = _content(whole, name) if name else whole
        found |= {(name, at): location for at, location in file.locate(offsets).items()}
    return [found[place.inside, _offset(place)] for place in places]


def _offset(place: Where) -> int:
    if place.offset is None:
        raise EditError(
            f"{place.inside!r} is no offset: expected a number, as 4096 or 0x1000, or one in a record, as '12 in a.pkl'"
        )
    return place.offset


class _File(OpenedFile):
    """A file, or the content of one, and what is found in it; its first byte is reported as byte `base`."""

    def __init__(self, source: Source, limits: Limits, base: int = 0) -> None:
        super().__init__(source, limits)
        self.base, self.start = base, position(source, 0)

    @cached_property
    def parts(self) -> Sequence[FilePart]:
        return list(parts_of(self))

    @cached_property
    def storages(self) -> list[tuple[int, Owner]]:
        """Those whose bytes are at rest, in the order of their offsets."""
        return sorted(((at, one) for at, one in self.owners.items() if one.storage.payload().seekable), key=itemgetter(0))

    def locate(self, offsets: Sequence[int]) -> dict[int, Location]:
        groups = dict[FilePart, list[int]]()
        found = {at: Location(at + self.base, self.start.inside, None, ()) for at in offsets if at == self.source.size}
        for at in offsets:
            if at in found:
                continue
            groups.setdefault(part_at(self.parts, at), []).append(at)
        for part, members in groups.items():
            for at in members:
                byte, shown = self.source.read(at, 1)[0], part._replace(offset=part.offset + self.base)
                found[at] = Location(at + self.base, self.start.inside, byte, (shown,))
            found |= dict(self._inside(part, {at: found[at] for at in members}))
        return found

    def _inside(self, part: FilePart, found: Mapping[int, Location]) -> Iterator[tuple[int, Location]]:
        """Locations in a part with what is known of its inside."""
        if part.kind == FILE and part.remark != CONTINUED:
            yield from self._in_file(part, found)
        elif part.structure:
            yield from self._in_structure(part, found)
        elif part.kind == PICKLE:
            yield from self._in_pickle(part, found)
        else:
            for at, location in found.items():
                owner = self._owner_at(at)
                if owner is not None:
                    yield at, location._replace(element=element_at(owner[1], self.tensors, at - owner[0]))

    def _in_file(self, part: FilePart, found: Mapping[int, Location]) -> Iterator[tuple[int, Location]]:
        """Locations in a member of a tar or zip that is a file of its own."""
        inner = _File(Window(self.source, part.offset, part.length), self.limits, self.base + part.offset)
        for at, location in inner.locate([at - part.offset for at in found]).items():
            yield at + part.offset, location._replace(parts=(*found[at + part.offset].parts, *location.parts))

    def _in_pickle(self, part: FilePart, found: Mapping[int, Location]) -> Iterator[tuple[int, Location]]:
        pickle = self._pickle(part)
        if pickle is None or pickle.source is None:
            return
        shift = position(pickle.source, 0).offset - self.start.offset
        for one in built(pickle, [at - shift for at in found], Position(self.base + shift, self.start.inside)):
            at = one.opcode.offset + one.byte - self.base
            yield at, found[at]._replace(built=one)

    def _in_structure(self, part: FilePart, found: Mapping[int, Location]) -> Iterator[tuple[int, Location]]:
        known = part_fields(self.source, part, self.base)
        for at, location in found.items():
            chain = (one for one in known if one.offset <= location.offset < one.offset + one.length)
            yield at, location._replace(fields=tuple(chain))

    def _pickle(self, part: FilePart) -> Part | None:
        """The pickle that a part is, or is the rest of; None where its bytes are compressed."""
        for one in self.container.parts if self.container else ():
            start = None if one.source is None else position(one.source, one.pickle.start)
            length = max(one.pickle.end - one.pickle.start, 1)
            if start and start.inside == self.start.inside and 0 <= self.start.offset + part.offset - start.offset < length:
                return one
        if part.remark and not part.remark.startswith(BROKEN):
            return None
        source = Window(self.source, part.offset, part.length)
        return Part(part.owner, read_seen(source.whole(), 0, self.limits), nothing_stored, source=source)

    def _owner_at(self, at: int) -> tuple[int, Owner] | None:
        """The storage that a byte belongs to, and its offset."""
        index = bisect_right(self.storages, at, key=itemgetter(0)) - 1
        is_there = index >= 0 and at < self.storages[index][0] + self.storages[index][1].storage.size
        return self.storages[index] if is_there else None


class _Record(_File):
    """The unpacked content of a deflated record."""

    def __init__(self, outer: _File, entry: Entry) -> None:
        stored = entry.stored
        packed = Packed(Window(stored.source, stored.offset, stored.length), entry.size, entry.method == DEFLATED)
        super().__init__(packed.opened(outer.limits, entry.name), outer.limits)
        self.name = entry.name
        self.tensors = outer.tensors
        self.pickles = [
            part
            for part in (outer.container.parts if outer.container else ())
            if part.record and part.record.name == entry.name
        ]
        at = offset_of(entry.checked, outer.source)
        self.owners = {0: outer.owners[at]} if at in outer.owners else {}

    @cached_property
    def parts(self) -> Sequence[FilePart]:
        kind = PICKLE if self.pickles else STORAGE if self.owners else ""
        return [FilePart(0, self.source.size, kind, self.name)] if kind else super().parts

    @cached_property
    def storages(self) -> list[tuple[int, Owner]]:
        return list(self.owners.items())

    def _pickle(self, part: FilePart) -> Part | None:
        return self.pickles[0] if self.pickles else super()._pickle(part)


def _argument(file: _File, at: int, name: str) -> Source:
    """The bytes or the text in the opcode at an offset, in which a scan may find another pickle."""
    built = file.locate([at])[at].built
    value = built.opcode.argument if built else None
    if isinstance(value, str):
        value = value.encode("latin-1") if value.isascii() or max(value) < "\u0100" else value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes | bytearray):
        raise EditError(f"there are no {name}: the opcode there has another argument")
    return BytesSource(bytes(value), name, Position(0, name))


def _content(file: _File, name: str) -> _File:
    """What the messages about a file call by a name: the content of a compressed file, or of a compressed record in it.

    Raises EditError where there is nothing of that name.
    """
    embedded = re.fullmatch(r"bytes at (\d+)", name)
    if embedded:
        return _File(_argument(file, int(embedded[1]), name), file.limits)
    kind = compression_of(file.source)
    if kind is not None:
        inner = _File(unpacked(file.source, kind, file.limits), file.limits)
        return inner if inner.start.inside == name else _content(inner, name)
    container = file.container
    if isinstance(container, Collection) and name in container.checkpoints:
        return _File(container.opened(name, file.limits), file.limits)
    entries = (entry for archive in archives_of(container) or () for entry in archive.entries)
    found = next((entry for entry in entries if entry.name == name), None)
    if found is None:
        raise EditError(f"there is no compressed content {name!r} in the file")
    return _Record(file, found)
