"""The walk over a file: one queue of regions, each read in every way that a loader may take it.

A region is read as each container whose signature it has and, since a loader of pickles looks for no signature, as pickles too.
A reader of one kind of region yields subjects for the rules and further regions; those are read before the reader goes on, so
that subjects come in the order of the file. Readers never call one another.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator

from ptzip.allowlist.table import Name
from ptzip.errors import LimitError, PtzipError
from ptzip.formats.signatures import ARRAY, NATIVE, OPAQUE, SCRIPT, described, is_safetensors, is_tar, signature_of
from ptzip.io.compression import compression_of, unpacked
from ptzip.io.sources import BytesSource, Source, Window
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.scanning.pickle_readers import begins_opcode, beyond, embedded, pickles, stretches
from ptzip.scanning.regions import Budget, Item, Reading, Region
from ptzip.scanning.subjects import MemberNames, Note, NoteKind, PickleStream, Subject
from ptzip.scanning.zip_readers import zip_files
from ptzip.zip.find_archives import is_zip
from ptzip.zip.structs import LOCAL_SIGNATURE

HEAD = 16
MOST_DEEP = 8
"""The most regions inside one another that are read."""


class _Open:
    """A region that is being read."""

    def __init__(self, region: Region, items: Iterator[Item]) -> None:
        self.region = region
        self.items = items
        self.has_pickle = False


def subjects(source: Source, limits: Limits, trusted: Collection[Name] = ()) -> Iterator[Subject]:
    """Everything in a file that rules judge. An error ends the region in which it occurs, with a note about it."""
    queue = [_opened(Region(source, Budget(limits), trusted))]
    while queue:
        current = queue[-1]
        try:
            found = next(current.items, None)
        except PtzipError as error:
            while queue[-1].region.reading is not Reading.ANYTHING:
                queue.pop()
            kind = NoteKind.LIMIT if isinstance(error, LimitError) else NoteKind.UNREAD
            queue[-1].items = iter([queue[-1].region.note(kind, str(error))])
            continue
        if found is None:
            queue.pop()
            if current.region.is_loaded and not current.has_pickle:
                yield current.region.note(
                    NoteKind.STRANGE, "a call loads these bytes, which are no checkpoint of a known format"
                )
        elif isinstance(found, Region):
            queue.append(_opened(found))
        elif not (isinstance(found, Note) and found.kind is NoteKind.UNREAD and current.region.is_optional):
            yield found
            if isinstance(found, PickleStream):
                for region in queue:
                    region.has_pickle = True
                queue.append(_values(current.region, found))


def _opened(region: Region) -> _Open:
    return _Open(region, READERS[region.reading](region))


def _values(region: Region, stream: PickleStream) -> _Open:
    """The bytes and texts in a pickle that may be files or pickles themselves."""
    values = region._replace(location=stream.location, reading=Reading.CONTENTS, is_loaded=False)
    return _Open(values, contents(values, stream))


def contents(region: Region, stream: PickleStream) -> Iterator[Item]:
    if stream.is_doubtful:
        return
    if region.depth > MOST_DEEP:
        yield region.note(NoteKind.LIMIT, f"more than {MOST_DEEP} pickles and containers are nested")
        return
    for data, offset, is_loaded in stretches(stream):
        what = f"bytes at {offset}"
        inner = BytesSource(data, what)
        if is_loaded or is_zip(inner) or compression_of(inner):
            yield region.inner(inner, what, is_optional=True, is_loaded=is_loaded)
        else:
            yield region.inner(inner, what, Reading.VALUE)


def anything(region: Region) -> Iterator[Item]:
    """Every reading of a region that a loader may take."""
    source = region.source
    if region.depth > MOST_DEEP:
        raise LimitError(f"more than {MOST_DEEP} pickles and containers are nested")
    head = source.read(0, min(source.size, HEAD))
    containers = [read for matches, read in CONTAINERS if matches(source, head)] if head else []
    is_pickle = False
    if begins_opcode(head) and not head.startswith(LOCAL_SIGNATURE):  # torch never reads that as pickles
        is_pickle = yield from pickles(region, is_other=bool(containers))
    for read in containers:
        yield from read(region)
    if not containers and not is_pickle:
        yield region.note(NoteKind.UNREAD, f"this is {described(source)}")


def opaque(region: Region) -> Iterator[Item]:
    """A container that is not opened."""
    row = signature_of(region.source.read(0, min(region.source.size, HEAD)), OPAQUE)
    if row is not None:
        yield region.note(NoteKind.STRANGE, f"this is {row.name}, which cannot be scanned")


def native(region: Region) -> Iterator[Item]:
    yield region.note(NoteKind.CODE, "this is native code or a script")


def compressed(region: Region) -> Iterator[Item]:
    """What compressed bytes hold."""
    kind = compression_of(region.source)
    if kind is None:
        return
    with contextlib.closing(unpacked(region.source, kind, region.budget.limits, is_scan=True)) as inner:
        if region.depth:  # the file itself may be compressed, as large as `Limits` allows
            region.budget.inflate(inner.size)
        yield region.inner(inner, f"content of the {kind.name}")


def array(region: Region) -> Iterator[Item]:
    """A `.npy` file. Its data are read as pickles even where the header says that they are numbers: numpy may disagree."""
    from ptzip.formats import npy  # few files are arrays

    source = region.source
    start, has_objects = npy.data_start(source)
    data = region.part(Window(source, start, source.size - start), "the objects of the array")
    yield from pickles(data, is_other=not has_objects)


def tar(region: Region) -> Iterator[Item]:
    """Every member of a tar, what follows them, and the pickles in a row that torch 0.1 wrote into members."""
    from ptzip.formats import tar as tars  # few files are tars

    source = region.source
    members, seen = tars.members(source), list[Pickle]()
    yield MemberNames(region.location, [member.name for member in members])
    for member in members:
        what = f"member {member.name}"
        if member.note:
            yield region.note(NoteKind.STRANGE, f"this is a {member.note}", what=what)
        else:
            yield region.inner(Window(source, member.offset, member.size), what, is_optional=True)
    end = max((member.offset + member.size for member in members), default=source.size)
    if end < source.size:
        yield from beyond(region, end, source.size - end, "after the tar")
    with contextlib.suppress(PtzipError):  # a tar that torch did not write; the pickles in it were seen
        tars.read(source, region.budget.limits, seen.append)
    for pickle in seen:
        if pickle.root is not None or pickle.calls:
            yield region.pickle(pickle, "a pickle in the tar")


CONTAINERS: tuple[tuple[Callable[[Source, bytes], bool], Callable[[Region], Iterator[Item]]], ...] = (
    (lambda source, _: compression_of(source) is not None, compressed),
    (lambda _, head: signature_of(head, OPAQUE) is not None, opaque),
    (lambda _, head: signature_of(head, NATIVE, SCRIPT) is not None, native),
    (lambda _, head: signature_of(head, ARRAY) is not None, array),
    (lambda source, _: is_tar(source), tar),
    (lambda source, _: is_safetensors(source), lambda _: iter(())),  # it holds names and numbers only
    (lambda source, _: is_zip(source), zip_files),
)
"""Whether a source with these first bytes is a container of a kind, and its reader; it is read as each kind that it may be."""

READERS: dict[Reading, Callable[[Region], Iterator[Item]]] = {
    Reading.ANYTHING: anything,
    **dict.fromkeys((Reading.STORAGE, Reading.LEFTOVER, Reading.VALUE), embedded),
}
