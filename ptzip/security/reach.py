"""Every pickle in reach of a file, and all that it lies in: containers inside containers, packed or not.

Rule: what a stretch of bytes is, is told by its content, by each reading that a loader may take: a zip that follows a pickle
is read as both. Storages are looked at no further than they can be pickles.
"""

import contextlib
from collections.abc import Collection, Generator, Iterator

from ptzip.allowed.names import Name
from ptzip.container.archive import is_zip
from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats import marks
from ptzip.formats.naming import described
from ptzip.limits import Limits
from ptzip.pickling.nodes import Global, Pickle
from ptzip.pickling.unpickler import read_seen
from ptzip.security import joblib, npy
from ptzip.security.guessing import begins_opcode, does_something, likely_pickle, starts_pickle
from ptzip.security.nested import nested
from ptzip.security.subjects import CODE, LIMIT, NAME, STRANGE, UNREAD, Note, Stream, Subject, inside
from ptzip.security.unpacking import packing, unpacked
from ptzip.security.zips import ZipWalk
from ptzip.source import BytesSource, Source, Window
from ptzip.source import Stream as Bytes

MOST_DEEP = 8
"""Containers inside one another that are opened."""

TRAILING = "behind the last storage"

NATIVE = {
    b"\x7fELF": "native code (ELF)",
    b"MZ\x90": "native code (Windows)",
    b"\xcf\xfa\xed\xfe": "native code (macOS)",
    b"\xca\xfe\xba\xbe": "native code or Java",
    b"#!": "a script",
}
CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x04\x22\x4d\x18": "packed by lz4",
    b"\x89HDF": "an HDF5 file",
}
"""What is not opened, so that nobody knows what is inside."""


class Walk:
    """One walk over a file: what is found goes out in the order in which it is met."""

    def __init__(self, limits: Limits, trusted: Collection[Name]) -> None:
        self.limits = limits
        self.trusted = trusted

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
        head = source.read(0, min(source.size, 600))
        if not head:
            yield Note(place, UNREAD, f"this is {described(source)}")
            return
        packed = packing(head)
        if packed and packed.name == "zlib" and not _unpacks(source, packed):
            packed = None
        if packed:
            yield from self._also_pickle(source, place, depth)
            inner = unpacked(source, packed)
            yield from self.contents(inner, inside(place, f"what the {packed.name} holds"), depth + 1)
            if is_zip(source):
                yield from ZipWalk(self, source, inside(place, "the zip behind it"), depth).subjects()
            return
        has_zip = is_zip(source)
        if has_zip:
            yield from ZipWalk(self, source, place, depth).subjects()
        if not has_zip or not head.startswith(b"PK\x03\x04"):
            yield from self._alone(source, place, depth, head, has_zip)

    def _alone(self, source: Source, place: str, depth: int, head: bytes, has_zip: bool) -> Iterator[Subject]:
        """What is no zip, or not only one."""
        if head.startswith((*NATIVE, *CLOSED)):
            what = next(what for magic, what in {**NATIVE, **CLOSED}.items() if head.startswith(magic))
            yield Note(place, CODE if head.startswith(tuple(NATIVE)) else STRANGE, f"this is {what}, which is not looked into")
            yield from self._also_pickle(source, place, depth)
        elif npy.sniff(head):
            yield from self._npy(source, place, depth)
        elif marks.is_tar(source):
            yield from self._also_pickle(source, place, depth)
            yield from self._tar(source, place, depth)
        elif marks.is_safetensors(source):
            yield from self._also_pickle(source, place, depth)
        elif begins_opcode(head):
            yield from self._pickles(source, place, depth, has_zip)
        elif not has_zip:
            yield Note(place, UNREAD, f"this is {described(source)}")

    def _also_pickle(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """What a loader of pickles makes of bytes that begin like something else: it does not mind."""
        pickle = likely_pickle(source, self.limits, thorough=True)
        if pickle is not None and does_something(pickle):
            yield from self.stream(Stream(inside(place, "read as a pickle"), pickle, trusted=self.trusted), depth)

    def _npy(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        start, has_objects = npy.data_start(source)
        where = inside(place, "the objects of the array")
        if has_objects:
            yield from self._streams(source, where, start, depth)
        else:
            yield from self._also_pickle(Window(source, start, source.size - start), where, depth)

    def _tar(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        from ptzip.formats import tar  # here and below: few files have what these read

        seen = list[Pickle]()
        for member in tar.members(source):
            where = inside(place, f"member {member.name}")
            yield Note(place, NAME, member.name)
            if member.note:
                yield Note(where, STRANGE, f"this is a {member.note}")
            else:
                yield from self.silently(Window(source, member.offset, member.size), where, depth)
        with contextlib.suppress(PtzipError):  # what it lacks is told by whoever opens it; its pickles were seen
            tar.read(source, self.limits, seen.append)
        for pickle in seen:
            if pickle.root is not None or pickle.calls:
                yield from self.stream(Stream(inside(place, "a pickle in the tar"), pickle, trusted=self.trusted), depth)

    def _pickles(self, source: Source, place: str, depth: int, has_zip: bool) -> Iterator[Subject]:
        """Pickles one after the other, as a file of them or as the old format of torch."""
        if marks.is_legacy(source):
            yield from self._legacy(source, place, depth)
        else:
            yield from self._streams(source, place, 0, depth, is_guess=not has_zip)

    def _legacy(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """All five pickles, and what follows the storages."""
        from ptzip.formats import legacy

        seen = list[tuple[str, Pickle]]()
        try:
            layout = legacy.read(source, self.limits, lambda name, pickle: seen.append((name, pickle)))
            parts, members, fault = layout.parts, layout.members, ""
        except FormatError as error:
            parts, members, fault = (), (), str(error)
        for name, pickle in seen:
            own = next((part for part in parts if part.pickle is pickle), None)
            yield from self.stream(Stream(inside(place, name), pickle, own, self.trusted), depth)
        if fault:
            yield Note(place, STRANGE, fault)
            yield from self._streams(source, place, seen[-1][1].end if seen else 0, depth)
        for member in members:
            window, where = Window(source, member.offset, member.size), inside(place, member.name)
            if member.note == TRAILING:
                yield from self.rest(window, where, member.offset, depth)
            elif member.note != "pickle":
                yield from self.blob(window, where, depth)

    def _streams(self, source: Source, place: str, start: int, depth: int, is_guess: bool = False) -> Iterator[Subject]:
        """The pickles from byte `start`, and what is left behind the last."""
        data, at, count = source.whole(), start, 0
        while at < len(data):
            pickle = read_seen(data, at, self.limits)
            if joblib.has_arrays(pickle):
                pickle = yield from self._joblib(data, pickle, place, depth)
            is_one = pickle.root is not None or does_something(pickle) or starts_pickle(data[at : at + 2])
            if not is_one:
                yield from self._doubtful(pickle, place)
                break
            count += 1
            left = 0 if pickle.root is None else self._left(data, pickle)
            where = place if count == 1 and not left and pickle.end >= len(data) else inside(place, f"pickle {count}")
            yield from self.stream(Stream(where, pickle, trusted=self.trusted, left=left), depth)
            if pickle.root is None:
                return
            at = pickle.end
            if left:
                yield from self.rest(Window(source, at, len(data) - at), inside(place, "trailing bytes"), at, depth, told=True)
                return
        if not count and is_guess:
            yield Note(place, UNREAD, f"this is {described(source)}")

    def _doubtful(self, pickle: Pickle, place: str) -> Iterator[Subject]:
        """What is hardly a pickle, though a loader would import something before it finds out."""
        if pickle.calls:
            yield Stream(place, pickle, is_doubtful=True)

    def _joblib(self, data: Bytes, plain: Pickle, place: str, depth: int) -> Generator[Subject, None, Pickle]:
        """The pickle as joblib reads it; what others would make of the bytes of its arrays is looked into as well."""
        arrays = joblib.Arrays()
        found = read_seen(data, plain.start, self.limits, arrays.skip)
        known = {node.path for node in found.calls if isinstance(node, Global)}
        if any(isinstance(node, Global) and node.path not in known for node in plain.calls):
            yield from self.stream(Stream(inside(place, "read without joblib"), plain, trusted=self.trusted), depth)
        if arrays.is_odd(found):
            yield Note(place, STRANGE, "arrays are described otherwise than joblib describes them")
        for pickle in arrays.pickles:
            where = inside(place, f"the objects of an array at {pickle.start}")
            yield from self.stream(Stream(where, pickle, trusted=self.trusted), depth)
        return found

    def _left(self, data: Bytes, pickle: Pickle) -> int:
        """How many bytes follow a pickle, if they are none themselves."""
        rest = len(data) - pickle.end
        if not rest:
            return 0
        following = read_seen(data, pickle.end, self.limits)
        return 0 if following.root is not None or does_something(following) else rest

    def rest(self, source: Source, place: str, offset: int, depth: int, told: bool = False) -> Iterator[Subject]:
        """Bytes behind everything that a loader reads."""
        if any(source.read(0, min(source.size, 1 << 20))):
            if not told:
                yield Note(place, STRANGE, f"{source.size:,} bytes follow all that a loader reads", offset)
            yield from self.blob(source, place, depth)

    def blob(self, source: Source, place: str, depth: int) -> Iterator[Subject]:
        """Bytes that should be no pickle: only what one begins like is looked into."""
        pickle = likely_pickle(source, self.limits)
        if pickle is not None:
            yield from self.stream(Stream(place, pickle, trusted=self.trusted, is_hidden=True), depth)

    def stream(self, stream: Stream, depth: int) -> Iterator[Subject]:
        """A pickle, and the bytes and texts in it that are files or pickles themselves."""
        yield stream
        if depth > MOST_DEEP:
            yield Note(stream.place, LIMIT, f"more than {MOST_DEEP} pickles lie inside one another")
            return
        for data, offset, is_loaded in nested(stream):
            where = inside(stream.place, f"bytes at {offset}")
            inner = BytesSource(data, where)
            if is_loaded:
                yield from self._loaded(inner, where, depth)
            elif is_zip(inner) or packing(data[:8]):
                yield from self.silently(inner, where, depth)
            else:
                pickle = likely_pickle(inner, self.limits)
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


def _unpacks(source: Source, kind: object) -> bool:
    """Whether bytes that begin like zlib are zlib, since two bytes are soon there by chance."""
    try:
        unpacked(source, kind)  # type: ignore[arg-type]
    except FormatError:
        return False
    return True
