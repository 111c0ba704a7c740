"""Readers of pickles: several in a row, the legacy format of torch, arrays of joblib, and bytes that only may be a pickle.

Each pickle is read from the byte at which the one before it ended, like a loader that is called again does.

A pickle below protocol 2 has no signature. Bytes that need not be a pickle count as one if they import a name and are whole
or call something, if they begin with PROTO and are whole, or if a limit stops the reading: chance does not produce names.
"""

import re
from collections.abc import Generator, Iterator

from ptzip.errors import PtzipError
from ptzip.formats import joblib
from ptzip.formats.container import PICKLE_NOTE, TRAILING_NOTE, Member, Part
from ptzip.formats.signatures import begins_pickle, is_legacy
from ptzip.io.sources import Window, placed
from ptzip.io.streams import Stream as Bytes
from ptzip.pickling.machine import CUT, LIMIT
from ptzip.pickling.nodes import Call, Global, Node, Pickle, plain
from ptzip.pickling.opcodes import BY_CODE
from ptzip.scanning import dangerous_names
from ptzip.scanning.encoded import is_text
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Refused, Region
from ptzip.scanning.subjects import NoteKind, PickleStream
from ptzip.scanning.violations import Danger, violations

HEADS = (512, 1 << 14, 1 << 20)
"""How many bytes are tried, as long as they may still be a pickle."""

MODULE = r"[^\s\0/]+"
"""The name of a module that may be a file: Python imports those that are no identifiers, too."""

SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")
"""Names of records that are pickles, not texts."""

MOST_PADDING = 1 << 20
"""Bytes beyond the end are read if any of the first so many is not zero."""

LOADERS = frozenset(("torch.storage._load_from_bytes", "pickle.loads", "_pickle.loads", "cPickle.loads", "dill.loads"))
"""Functions that load the bytes they are given."""


def pickles(region: Region) -> Generator[Item, None, Outcome]:
    """The pickles of a region."""
    if is_legacy(region.source):
        yield from _legacy(region)
        return Read(region.source.size)
    if region.is_other and not _may_be_pickle(region):
        return Refused("")
    return (yield from _in_a_row(region, 0))


def _legacy(region: Region) -> Iterator[Item]:
    """All five pickles of the legacy format, its storages, and what follows them."""
    from ptzip.formats import legacy  # few files are of this format

    seen, members, fault = list[tuple[str, Pickle]](), tuple[Member, ...](), ""
    parts = tuple[Part, ...]()

    def read_at(name: str, data: Bytes, at: int) -> Pickle:
        seen.append((name, region.budget.read(data, at)))
        return seen[-1][1]

    try:
        with placed(region.source):
            layout = legacy.read(region.source, region.budget.limits, read_at)
        parts, members = layout.parts, layout.members
    except PtzipError as error:
        fault = str(error)
    for name, pickle in seen:
        yield region.pickle(pickle, name, next((part for part in parts if part.pickle is pickle), None))
    if fault:
        yield region.note(NoteKind.STRANGE, fault)
        yield from _in_a_row(region._replace(is_other=True), seen[-1][1].end if seen else 0)
    for member in members:
        if member.note == TRAILING_NOTE:
            yield from beyond(region, member.offset, member.size, member.name)
        elif member.note != PICKLE_NOTE:
            window = Window(region.source, member.offset, member.size)
            yield region.inner(window, member.name, Reading.STORAGE)


def _in_a_row(region: Region, at: int) -> Generator[Item, None, Outcome]:
    """The pickles from a byte on; what follows the last is read here, unless it may belong to a file of another kind."""
    data, count, found, is_other = region.source.whole(), 0, not region.is_other, region.is_other
    while at < len(data):
        pickle = yield from _read(region, data, at)
        is_certain = _has_effect(region, pickle) or was_limited(pickle)
        if not is_certain and pickle.root is None and (is_other or not begins_pickle(data[at : at + 2])):
            if not is_other and pickle.calls:  # hardly a pickle, but a loader imports something before it fails
                yield PickleStream(region.location, pickle, is_doubtful=True, source=region.source)
            break
        count += 1
        trailing = 0 if is_other else _trailing(region, data, pickle)
        is_alone = count == 1 and not trailing and pickle.end >= len(data)
        if not is_other or is_certain:
            found = True
            yield region.pickle(pickle, "" if is_alone else f"pickle {count}", trailing=trailing)
        at = pickle.end
        if trailing:
            yield from beyond(region, at, trailing, "trailing bytes", is_reported=True)
            at = len(data)
        if pickle.root is None:
            at = len(data)  # how a loader would go on is unknown, and the pickle that breaks off is a finding
    return Read(at) if count and found else Refused("")


def _read(region: Region, data: Bytes, at: int) -> Generator[Item, None, Pickle]:
    """One pickle. If it is joblib's, it is read like joblib does; what other loaders make of its arrays is yielded, too."""
    read = region.budget.read
    pickle = read(data, at)
    for call in joblib.other_files(pickle):
        yield region.note(NoteKind.STRANGE, "joblib loads an array from another file, as a pickle if it is one", call.offset)
    if not joblib.has_arrays(pickle):
        return pickle
    arrays = joblib.Arrays(read)
    found = read(data, at, arrays.skip)
    others = {"read without joblib": pickle}
    if arrays.has_padding:
        others["read by joblib 1.1"] = read(data, at, joblib.Arrays(read, is_old=True).skip)
    for what, other in others.items():
        if _does_more(region, other, [found, *arrays.pickles]):
            yield region.pickle(other, what)
    if arrays.is_odd(found):
        yield region.note(NoteKind.STRANGE, "arrays are not described as joblib describes them")
    for inner in arrays.pickles:
        yield region.pickle(inner, f"the objects of an array at {region.at(inner.start)}")
    return found


def _does_more(region: Region, plain: Pickle, readings: list[Pickle]) -> bool:
    """Whether another loader than joblib imports, calls or changes something that joblib does not, in the data of its arrays.

    There the memo of the objects of an array is mixed up with that of the file, so a name may differ in a harmless way. Numbers
    may look like an import by a number, which fails unless somebody has registered it.
    """
    known = {node.offset: _count_builds(node) for pickle in readings for node in pickle.calls}
    named = [node for node in plain.calls if _has_name(node.function if isinstance(node, Call) else node)]
    if was_limited(plain) or any(_count_builds(node) > known.get(node.offset, -1) for node in named):
        return True
    return any(found.danger is Danger.HARMFUL for found in violations(plain, region.trusted))


def _has_name(node: Node) -> bool:
    return isinstance(node, Global) and not node.op.startswith("EXT")


def _count_builds(node: Node) -> int:
    return sum(step.op == "BUILD" for step in node.steps)


def _trailing(region: Region, data: Bytes, pickle: Pickle) -> int:
    """How many bytes follow a whole pickle, if they are not another one."""
    rest = len(data) - pickle.end
    if not rest or pickle.root is None:
        return 0
    following = region.budget.read(data, pickle.end)
    return 0 if following.root is not None or _has_effect(region, following) else rest


def beyond(region: Region, offset: int, size: int, what: str, is_reported: bool = False) -> Iterator[Item]:
    """Bytes beyond everything that a loader reads; zeros there are padding."""
    head = region.source.read(offset, min(size, MOST_PADDING))
    zeros = len(head) - len(head.lstrip(b"\0"))
    if zeros < len(head):
        if not is_reported:
            yield region.note(NoteKind.STRANGE, f"{size:,} bytes follow everything that a loader reads", offset, what)
        yield region.inner(Window(region.source, offset + zeros, size - zeros), what, Reading.LEFTOVER)


def embedded(region: Region) -> Generator[Item, None, Outcome]:
    """Bytes that should not be a pickle, if they begin like one."""
    pickle = _likely_pickle(region)
    if pickle is not None:
        yield region.pickle(pickle, is_hidden=region.reading in (Reading.STORAGE, Reading.LEFTOVER))
    return Read(region.source.size)


def loaded(stream: PickleStream) -> set[int]:
    """The atoms that are arguments of loaders, also of a call in between such as `_codecs.encode`, by identity."""
    found = set[int]()
    for path, call in stream.calls:
        if path in LOADERS:
            for argument in call.arguments:
                inner = plain(argument)
                inner = plain(inner.arguments[0]) if isinstance(inner, Call) and inner.arguments else inner
                found.add(id(inner))
    return found


def _likely_pickle(region: Region) -> Pickle | None:
    """The pickle that the bytes begin with, or None; of a storage only the beginning is read."""
    source, read, is_storage = region.source, region.budget.read, region.reading is Reading.STORAGE
    most = min(source.size, HEADS[-1]) if is_storage else source.size
    for size in (*(head for head in HEADS if head < most), most):
        head = source.read(0, size)
        if len(head) < 2 or head[0] not in BY_CODE:
            return None
        pickle = read(head, 0)
        is_one = _has_effect(region, pickle)
        if is_storage:  # the numbers of one tensor in twenty thousand begin with an import by number and STOP
            is_one = is_one and any(not node.op.startswith("EXT") for node in _names(pickle))
        is_one = is_one or (pickle.root is not None and begins_pickle(head))
        if is_one or (was_limited(pickle) and size == most and not is_storage):
            has_ended = pickle.root is not None or size == most
            return pickle if has_ended else read(source.read(0, most), 0)
        if not _runs_on(pickle):
            return None
    return None


def _may_be_pickle(region: Region) -> bool:
    """Whether bytes should be read whole: they begin with a pickle, or with what may become one."""
    source = region.source
    for size in HEADS:
        pickle = region.budget.read(source.read(0, min(size, source.size)), 0)
        if pickle.root is not None or _has_effect(region, pickle):
            return True
        if size >= source.size or not _runs_on(pickle):
            return was_limited(pickle)
    return True


def _has_effect(region: Region, pickle: Pickle) -> bool:
    """Whether a loader that takes these bytes for a pickle imports something. Words of a text may look like names of modules,
    so a text counts only if it is whole or calls something.
    """
    names = _names(pickle)
    is_whole, calls = pickle.root is not None, any(isinstance(node, Call) for node in pickle.calls)
    if not names:
        return False
    if region.reading in (Reading.STORAGE, Reading.LEFTOVER, Reading.BYTES):
        return is_whole or calls
    may_be_words = region.reading is Reading.TEXT or is_text(region.source)
    if region.is_other or not may_be_words or region.location.lower().endswith(SUFFIXES):
        return True
    is_dangerous = any(dangerous_names.of_name(node.module, node.name) for node in names)
    if region.reading is Reading.TEXT:
        return calls and (is_whole or is_dangerous)
    return is_whole or calls or (is_dangerous and not region.is_optional)


def was_limited(pickle: Pickle) -> bool:
    """Whether reading stopped at a limit, so that nobody knows what follows."""
    return pickle.root is None and pickle.anomalies[-1].kind == LIMIT


def _names(pickle: Pickle) -> list[Global]:
    """What it imports by name, from modules that may exist."""
    names = [node for node in pickle.calls if isinstance(node, Global) and not node.op.startswith("EXT")]
    return [node for node in names if re.fullmatch(MODULE, node.module)]


def _runs_on(pickle: Pickle) -> bool:
    """Whether a pickle broke only because no more bytes were given."""
    return pickle.root is None and pickle.anomalies[-1].kind in (CUT, LIMIT)
