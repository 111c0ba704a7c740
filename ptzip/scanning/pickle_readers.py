"""Readers of pickles: several in a row, the legacy format of torch, arrays of joblib, and bytes that only may be a pickle.

Each pickle is read from the byte at which the one before it ended, like a loader that is called again does.

A pickle below protocol 2 has no signature. Bytes that need not be a pickle count as one if they import a name and are whole
or call something, or if they begin with PROTO and are whole: chance does not produce names.
"""

import re
from collections.abc import Callable, Generator, Iterator

from ptzip.errors import PtzipError
from ptzip.formats.container import PICKLE_NOTE, TRAILING_NOTE, Member, Part
from ptzip.formats.signatures import begins_pickle, is_legacy
from ptzip.io.sources import Source, Window
from ptzip.io.sources import Stream as Bytes
from ptzip.pickling.nodes import Atom, Call, Global, Pickle, plain
from ptzip.pickling.opcodes import BY_CODE
from ptzip.pickling.reader import CUT, LIMIT
from ptzip.scanning import dangerous_names, joblib_arrays
from ptzip.scanning.regions import Item, Reading, Region
from ptzip.scanning.subjects import NoteKind, PickleStream

HEADS = (512, 1 << 14, 1 << 20)
"""How many bytes are tried, as long as they may still be a pickle."""

IDENTIFIER = re.compile(r"[A-Za-z_]\w*(\.\w+)*\Z")


MOST_PADDING = 1 << 20
"""Bytes beyond the end are read if any of the first so many is not zero."""

LOADERS = frozenset(("torch.storage._load_from_bytes", "pickle.loads", "_pickle.loads", "cPickle.loads", "dill.loads"))
"""Functions that load the bytes they are given."""

ReadPickle = Callable[[Bytes, int], Pickle]
"""Reads the pickle at an offset."""


def pickles(region: Region, is_other: bool = False) -> Generator[Item, None, bool]:
    """The pickles of a region; returns whether there are any. `is_other`: it has the signature of something else, so it may
    begin like a harmless pickle by chance, which is not reported.
    """
    if is_legacy(region.source):
        yield from _legacy(region)
        return True
    if is_other and not may_be_pickle(region.source, region.budget.read):
        return False
    return (yield from _in_a_row(region, 0, is_other))


def _legacy(region: Region) -> Iterator[Item]:
    """All five pickles of the legacy format, its storages, and what follows them."""
    from ptzip.formats import legacy  # few files are of this format

    seen, members, fault = list[tuple[str, Pickle]](), tuple[Member, ...](), ""
    parts = tuple[Part, ...]()
    try:
        layout = legacy.read(region.source, region.budget.limits, lambda name, pickle: seen.append((name, pickle)))
        parts, members = layout.parts, layout.members
    except PtzipError as error:
        fault = str(error)
    for name, pickle in seen:
        yield region.pickle(pickle, name, next((part for part in parts if part.pickle is pickle), None))
    if fault:
        yield region.note(NoteKind.STRANGE, fault)
        yield from _in_a_row(region, seen[-1][1].end if seen else 0, is_other=True)
    for member in members:
        if member.note == TRAILING_NOTE:
            yield from beyond(region, member.offset, member.size, member.name)
        elif member.note != PICKLE_NOTE:
            window = Window(region.source, member.offset, member.size)
            yield region.inner(window, member.name, Reading.STORAGE)


def _in_a_row(region: Region, at: int, is_other: bool) -> Generator[Item, None, bool]:
    """The pickles from a byte on, and what follows the last; returns whether there are any."""
    data, count = region.source.whole(), 0
    while at < len(data):
        pickle = yield from _read(region, data, at)
        if pickle.root is None and not does_something(pickle) and not begins_pickle(data[at : at + 2]):
            if not is_other and pickle.calls:  # hardly a pickle, but a loader imports something before it fails
                yield PickleStream(region.location, pickle, is_doubtful=True)
            break
        count += 1
        trailing = 0 if is_other else _trailing(region, data, pickle)
        is_alone = count == 1 and not trailing and pickle.end >= len(data)
        if not is_other or does_something(pickle):
            yield region.pickle(pickle, "" if is_alone else f"pickle {count}", trailing=trailing)
        at = pickle.end
        if trailing:
            yield from beyond(region, at, trailing, "trailing bytes", is_reported=True)
        if trailing or pickle.root is None:
            break
    return count > 0


def _read(region: Region, data: Bytes, at: int) -> Generator[Item, None, Pickle]:
    """One pickle. If it is joblib's, it is read like joblib does; what other loaders make of its arrays is yielded, too."""
    read = region.budget.read
    pickle = read(data, at)
    if not joblib_arrays.has_arrays(pickle):
        return pickle
    arrays = joblib_arrays.Arrays(read)
    found = read(data, at, arrays.skip)
    known = {node.path for node in found.calls if isinstance(node, Global)}
    if any(isinstance(node, Global) and node.path not in known for node in pickle.calls):
        yield region.pickle(pickle, "read without joblib")
    if arrays.is_odd(found):
        yield region.note(NoteKind.STRANGE, "arrays are not described as joblib describes them")
    for inner in arrays.pickles:
        yield region.pickle(inner, f"the objects of an array at {inner.start}")
    return found


def _trailing(region: Region, data: Bytes, pickle: Pickle) -> int:
    """How many bytes follow a whole pickle, if they are not another one."""
    rest = len(data) - pickle.end
    if not rest or pickle.root is None:
        return 0
    following = region.budget.read(data, pickle.end)
    return 0 if following.root is not None or does_something(following) else rest


def beyond(region: Region, offset: int, size: int, what: str, is_reported: bool = False) -> Iterator[Item]:
    """Bytes beyond everything that a loader reads; zeros there are padding."""
    head = region.source.read(offset, min(size, MOST_PADDING))
    zeros = len(head) - len(head.lstrip(b"\0"))
    if zeros < len(head):
        if not is_reported:
            yield region.note(NoteKind.STRANGE, f"{size:,} bytes follow everything that a loader reads", offset, what)
        yield region.inner(Window(region.source, offset + zeros, size - zeros), what, Reading.LEFTOVER)


def embedded(region: Region) -> Iterator[Item]:
    """Bytes that should not be a pickle, if they begin like one."""
    pickle = likely_pickle(region.source, region.budget.read, is_whole=region.reading is not Reading.STORAGE)
    if pickle is not None:
        yield region.pickle(pickle, is_hidden=region.reading is not Reading.VALUE)


def stretches(stream: PickleStream) -> Iterator[tuple[bytes, int, bool]]:
    """The bytes inside a pickle that may be pickles or files: the bytes, their offset, and whether a call loads them."""
    loaded = {id(argument) for argument in _loaded(stream)}
    for node in stream.size.atoms:
        data = _encoded(node, id(node) in loaded)
        if data is not None:
            yield data, node.offset, id(node) in loaded


def _loaded(stream: PickleStream) -> Iterator[Atom]:
    """The arguments of loaders, also of a call in between such as `_codecs.encode`."""
    for path, call in stream.calls:
        if path in LOADERS:
            for argument in call.arguments:
                inner = plain(argument)
                inner = plain(inner.arguments[0]) if isinstance(inner, Call) and inner.arguments else inner
                if isinstance(inner, Atom):
                    yield inner


def _encoded(node: Atom, is_loaded: bool) -> bytes | None:
    """An atom as bytes. A text counts if it is loaded, or has a character that every pickle with an import has."""
    value = node.value
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str) or not (is_loaded or "\n" in value or "\x93" in value):
        return None
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return None


def begins_opcode(head: bytes) -> bool:
    """Whether the first byte is an opcode, as that of any pickle is."""
    return len(head) > 1 and head[0] in BY_CODE


def likely_pickle(source: Source, read: ReadPickle, is_whole: bool = False) -> Pickle | None:
    """The pickle that bytes begin with, or None; of a long one only the beginning, unless `is_whole`."""
    for size in (*HEADS, source.size) if is_whole else HEADS:
        head = source.read(0, min(size, source.size))
        if not begins_opcode(head):
            return None
        pickle = read(head, 0)
        has_ended = pickle.root is not None or size >= source.size
        if does_something(pickle) or (pickle.root is not None and begins_pickle(head)):
            return pickle if has_ended else read(source.read(0, source.size if is_whole else min(source.size, HEADS[-1])), 0)
        if has_ended or not _runs_on(pickle):
            return None
    return None


def may_be_pickle(source: Source, read: ReadPickle) -> bool:
    """Whether bytes should be read whole: they begin with a pickle, or with what may become one."""
    for size in HEADS:
        pickle = read(source.read(0, min(size, source.size)), 0)
        if pickle.root is not None or does_something(pickle):
            return True
        if size >= source.size or not _runs_on(pickle):
            return False
    return True


def does_something(pickle: Pickle) -> bool:
    """Whether it imports a name and is whole, calls something, or the name is dangerous: text may begin like an import."""
    imported = (node for node in pickle.calls if isinstance(node, Global))
    names = [node for node in imported if IDENTIFIER.match(node.module) and IDENTIFIER.match(node.name)]
    is_more = pickle.root is not None or any(isinstance(node, Call) for node in pickle.calls)
    return bool(names) and (is_more or any(dangerous_names.of_name(node.module, node.name) for node in names))


def _runs_on(pickle: Pickle) -> bool:
    """Whether a pickle broke only because no more bytes were given."""
    return bool(pickle.anomalies) and pickle.anomalies[-1].kind in (CUT, LIMIT)
