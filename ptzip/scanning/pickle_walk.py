"""The pickles in a stretch of bytes: one after the other, as joblib writes them, or in the old format of torch.

Rule: each is read from the byte at which the one before it ended, as a loader does that is called again; what is left behind
the last is looked into, too.
"""

from collections.abc import Generator, Iterator

from ptzip.errors import PtzipError
from ptzip.formats import signatures as marks
from ptzip.formats.container import Member, Part
from ptzip.io.sources import Source, Window
from ptzip.io.sources import Stream as Bytes
from ptzip.pickling.nodes import Global, Pickle
from ptzip.scanning import joblib
from ptzip.scanning.pickle_guess import does_something, may_be_pickle
from ptzip.scanning.regions import STRANGE, Looker, Note, Stream, Subject, inside

TRAILING = "behind the last storage"


class PickleWalk:
    """The pickles of one source. `is_other` says that it bears the mark of something else, so that it may well begin like a
    harmless pickle, which is not worth a word then."""

    def __init__(self, walk: Looker, source: Source, place: str, depth: int, is_other: bool) -> None:
        self.walk = walk
        self.source = source
        self.place = place
        self.depth = depth
        self.is_other = is_other

    def subjects(self) -> Generator[Subject, None, bool]:
        """All of them; whether there are any."""
        if marks.is_legacy(self.source):
            yield from self._legacy()
            return True
        if self.is_other and not may_be_pickle(self.source, self.walk.budget.read):
            return False
        return (yield from self._streams(0))

    def _legacy(self) -> Iterator[Subject]:
        """All five pickles, and what follows the storages."""
        from ptzip.formats import legacy  # here, since few files are of this kind

        seen, members, fault = list[tuple[str, Pickle]](), tuple[Member, ...](), ""
        parts = tuple[Part, ...]()
        try:
            layout = legacy.read(self.source, self.walk.budget.limits, lambda name, pickle: seen.append((name, pickle)))
            parts, members = layout.parts, layout.members
        except PtzipError as error:
            fault = str(error)
        for name, pickle in seen:
            own = next((part for part in parts if part.pickle is pickle), None)
            yield from self._told(Stream(inside(self.place, name), pickle, own, self.walk.trusted))
        if fault:
            yield Note(self.place, STRANGE, fault)
            self.is_other = True
            yield from self._streams(seen[-1][1].end if seen else 0)
        yield from self._members(members)

    def _members(self, members: tuple[Member, ...]) -> Iterator[Subject]:
        """The storages of the old format, and what follows them."""
        for member in members:
            window, where = Window(self.source, member.offset, member.size), inside(self.place, member.name)
            if member.note == TRAILING:
                yield from self.walk.rest(window, where, member.offset, self.depth)
            elif member.note != "pickle":
                yield from self.walk.blob(window, where, self.depth)

    def _streams(self, at: int) -> Generator[Subject, None, bool]:
        """The pickles from a byte on, and what is left behind the last; whether there are any."""
        data, count = self.source.whole(), 0
        while at < len(data):
            pickle = yield from self._read(data, at)
            if not _is_one(pickle, data):
                if not self.is_other and pickle.calls:  # hardly a pickle, though a loader would import something first
                    yield Stream(self.place, pickle, is_doubtful=True)
                break
            count += 1
            left = 0 if self.is_other else self._left(data, pickle)
            is_alone = count == 1 and not left and pickle.end >= len(data)
            where = self.place if is_alone else inside(self.place, f"pickle {count}")
            if not self.is_other or does_something(pickle):
                yield from self._told(Stream(where, pickle, trusted=self.walk.trusted, left=left))
            at = pickle.end
            if left:
                behind = Window(self.source, at, left)
                yield from self.walk.rest(behind, inside(self.place, "trailing bytes"), at, self.depth, told=True)
            if left or pickle.root is None:
                break
        return count > 0

    def _read(self, data: Bytes, at: int) -> Generator[Subject, None, Pickle]:
        """One pickle; as joblib reads it where it is joblib's, with what others would make of the bytes of its arrays."""
        pickle = self.walk.budget.read(data, at)
        if not joblib.has_arrays(pickle):
            return pickle
        arrays = joblib.Arrays(self.walk.budget.read)
        found = self.walk.budget.read(data, at, arrays.skip)
        known = {node.path for node in found.calls if isinstance(node, Global)}
        if any(isinstance(node, Global) and node.path not in known for node in pickle.calls):
            yield from self._told(Stream(inside(self.place, "read without joblib"), pickle, trusted=self.walk.trusted))
        if arrays.is_odd(found):
            yield Note(self.place, STRANGE, "arrays are described otherwise than joblib describes them")
        for inner in arrays.pickles:
            where = inside(self.place, f"the objects of an array at {inner.start}")
            yield from self._told(Stream(where, inner, trusted=self.walk.trusted))
        return found

    def _left(self, data: Bytes, pickle: Pickle) -> int:
        """How many bytes follow a whole pickle, if they are none themselves."""
        rest = len(data) - pickle.end
        if not rest or pickle.root is None:
            return 0
        following = self.walk.budget.read(data, pickle.end)
        return 0 if following.root is not None or does_something(following) else rest

    def _told(self, stream: Stream) -> Iterator[Subject]:
        return self.walk.stream(stream, self.depth)


def _is_one(pickle: Pickle, data: Bytes) -> bool:
    return pickle.root is not None or does_something(pickle) or marks.begins_pickle(data[pickle.start : pickle.start + 2])
