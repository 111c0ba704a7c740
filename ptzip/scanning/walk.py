"""Every pickle in reach of a file, and all that it lies in: containers inside containers, packed or not.

Rule: a stretch of bytes is read in every way that a loader may take: as each container whose mark it bears, and, since a
loader of pickles looks for no mark, as pickles too. Storages are looked at no further than they can be pickles.
"""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator
from typing import NamedTuple

from ptzip.allowlist.table import Name
from ptzip.errors import LimitError, PtzipError
from ptzip.formats import signatures as marks
from ptzip.formats.unknown_files import described
from ptzip.io.compression import compression_of, unpacked
from ptzip.io.sources import BytesSource, Source, Window
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.scanning import code as texts
from ptzip.scanning import npy
from ptzip.scanning.budget import Budget
from ptzip.scanning.nested_bytes import nested
from ptzip.scanning.pickle_guess import begins_opcode, likely_pickle
from ptzip.scanning.pickle_walk import PickleWalk
from ptzip.scanning.regions import CODE, LIMIT, STRANGE, UNREAD, Names, Note, Stream, Subject, inside
from ptzip.scanning.zip_walk import ZipWalk
from ptzip.zip.ends import is_zip

HEAD = 16
MOST_DEEP = 8
"""Containers and pickles inside one another that are opened."""

MOST_PADDED = 1 << 20
"""Bytes behind everything of which one is to be no zero, if they are to be looked at."""

CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x04\x22\x4d\x18": "packed by lz4",
    b"\x89HDF": "an HDF5 file",
}
"""What is not opened, so that nobody knows what is inside."""


class Walk:
    """One walk over a file: what is found goes out in the order in which it is met."""

    def __init__(self, limits: Limits, trusted: Collection[Name], opened: contextlib.ExitStack) -> None:
        self.budget = Budget(limits)
        self.trusted = trusted
        self.opened = opened
        """What is to be closed when the scan is over."""

    def contents(self, source: Source, place: str, depth: int = 0) -> Iterator[Subject]:
        """Everything in a stretch of bytes, by all that it may be taken for."""
        if depth > MOST_DEEP:
            yield Note(place, LIMIT, f"more than {MOST_DEEP} containers lie inside one another")
            return
        try:
            yield from self._contents(source, place, depth)
        except LimitError as error:
            yield Note(place, LIMIT, str(error))
        except PtzipError as error:
            yield Note(place, UNREAD, str(error))

    def _contents(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        head = source.read(0, min(source.size, HEAD))
        kinds = [kind for kind in KINDS if kind.sniff(source, head)] if head else []
        is_pickle = False
        if begins_opcode(head) and not head.startswith(ZIP_START):
            is_pickle = yield from self._pickles(source, place, depth, is_other=bool(kinds))
        for kind in kinds:
            yield from kind.read(self, source, place, depth)
        if not kinds and not is_pickle:
            yield Note(place, UNREAD, f"this is {described(source)}")

    def closed(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        head = source.read(0, min(source.size, HEAD))
        what = next(what for magic, what in CLOSED.items() if head.startswith(magic))
        yield Note(place, STRANGE, f"this is {what}, which is not looked into")

    def native(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        yield Note(place, CODE, "this is native code or a script")

    def weights(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """safetensors hold nothing else."""
        return iter(())

    def packed(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """What is inside compressed bytes; that two bytes of zlib are there by chance is no finding."""
        kind = compression_of(source)
        if kind is None:
            return
        inner = unpacked(source, kind, self.budget.limits, is_scan=True)
        self.opened.callback(inner.close)
        if depth:  # the file itself may be packed, as large as `Limits` allows
            self.budget.inflate(inner.size)
        yield from self.contents(inner, inside(place, f"what the {kind.name} holds"), depth + 1)

    def zips(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        return ZipWalk(self, source, place, depth).subjects()

    def array(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """The data of a `.npy`: the header may say that they are objects in ways that only numpy understands."""
        start, has_objects = npy.data_start(source)
        where, data = inside(place, "the objects of the array"), Window(source, start, source.size - start)
        yield from self._pickles(data, where, depth, is_other=not has_objects)

    def tar(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        from ptzip.formats import tar  # here and below: few files have what these read

        members, seen = tar.members(source), list[Pickle]()
        yield Names(place, [member.name for member in members])
        for member in members:
            where = inside(place, f"member {member.name}")
            if member.note:
                yield Note(where, STRANGE, f"this is a {member.note}")
            else:
                yield from self.silently(Window(source, member.offset, member.size), where, depth)
        end = max((member.offset + member.size for member in members), default=source.size)
        if end < source.size:
            yield from self.rest(Window(source, end, source.size - end), inside(place, "behind the tar"), end, depth)
        with contextlib.suppress(PtzipError):  # what it lacks is told by whoever opens it; its pickles were seen
            tar.read(source, self.budget.limits, seen.append)
        for pickle in seen:
            if pickle.root is not None or pickle.calls:
                yield from self.stream(Stream(inside(place, "a pickle in the tar"), pickle, trusted=self.trusted), depth)

    def _pickles(self, source: Source, place: str, depth: int, is_other: bool) -> Generator[Subject, None, bool]:
        return PickleWalk(self, source, place, depth, is_other).subjects()

    def rest(self, source: Source, place: str, offset: int, depth: int, told: bool = False) -> Iterator[Subject]:
        """Bytes behind everything that a loader reads."""
        head = source.read(0, min(source.size, MOST_PADDED))
        zeros = len(head) - len(head.lstrip(b"\0"))
        if zeros < len(head):
            if not told:
                yield Note(place, STRANGE, f"{source.size:,} bytes follow all that a loader reads", offset)
            yield from self.blob(Window(source, zeros, source.size - zeros), place, depth, thorough=True)

    def blob(self, source: Source, place: str, depth: int, thorough: bool = False) -> Iterator[Subject]:
        """Bytes that should be no pickle: only what one begins like is looked into, of a storage no more than its beginning."""
        pickle = likely_pickle(source, self.budget.read, thorough)
        if pickle is not None:
            yield from self.stream(Stream(place, pickle, trusted=self.trusted, is_hidden=True), depth)

    def stream(self, stream: Stream, depth: int) -> Iterator[Subject]:
        """A pickle, and the bytes and texts in it that are files or pickles themselves."""
        self.budget.count()
        yield stream
        if depth > MOST_DEEP:
            yield Note(stream.place, LIMIT, f"more than {MOST_DEEP} pickles lie inside one another")
            return
        for data, offset, is_loaded in nested(stream):
            where = inside(stream.place, f"bytes at {offset}")
            inner = BytesSource(data, where)
            if is_loaded:
                yield from self._loaded(inner, where, depth)
            elif is_zip(inner) or compression_of(inner):
                yield from self.silently(inner, where, depth)
            else:
                pickle = likely_pickle(inner, self.budget.read, thorough=True)
                if pickle is not None:
                    yield from self.stream(Stream(where, pickle, trusted=self.trusted), depth + 1)

    def _loaded(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """Bytes that the pickle has a loader load: what is nothing known is not passed over."""
        is_known = False
        for subject in self.silently(source, place, depth):
            is_known = is_known or isinstance(subject, Stream)
            yield subject
        if not is_known:
            yield Note(place, STRANGE, "bytes that are loaded are no checkpoint of a known form")

    def silently(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """What is inside bytes that need not be anything: that they may be nothing is no finding."""
        for subject in self.contents(source, place, depth + 1):
            if not isinstance(subject, Note) or subject.kind != UNREAD:
                yield subject


class Kind(NamedTuple):
    """A container: how it is told by its source and first bytes, and how it is walked."""

    sniff: Callable[[Source, bytes], bool]
    read: Callable[[Walk, Source, str, int], Iterator[Subject]]


ZIP_START = b"PK\x03\x04"
"""torch takes a file that begins so for a zip, and never for pickles."""

KINDS = (
    Kind(lambda source, _: compression_of(source) is not None, Walk.packed),
    Kind(lambda _, head: head.startswith(tuple(CLOSED)), Walk.closed),
    Kind(lambda _, head: head.startswith((*texts.NATIVE, b"#!")), Walk.native),
    Kind(lambda _, head: npy.sniff(head), Walk.array),
    Kind(lambda source, _: marks.is_tar(source), Walk.tar),
    Kind(lambda source, _: marks.is_safetensors(source), Walk.weights),
    Kind(lambda source, _: is_zip(source), Walk.zips),
)
"""All of them; a file that bears several marks is walked as each."""
