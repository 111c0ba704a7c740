"""The walk over a file: one queue of regions, each read in every way that a loader may take it.

A reader of one kind yields subjects for the rules and further regions; those are read before the reader goes on, so that
subjects come in the order of the file. Readers never call one another.

A scan fails closed. Every reading of a region returns an outcome, and the walk accounts for all bytes: what is beyond all
readings is a finding; a region that every reading refuses is data that no loader interprets, or unreadable; a kind without
a reader, or an error that ends a reading, is a finding.
"""

import contextlib
from collections.abc import Generator, Iterator

from ptzip.allowlist.table import NOTHING, Trust
from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats.signatures import HEAD, Kind, described, kinds_of, signature_of
from ptzip.io.compression import compression_of, unpacked
from ptzip.io.sources import BytesSource, Position, Source, placed
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom
from ptzip.scanning.encoded import decoded, is_text
from ptzip.scanning.pickle_readers import beyond, embedded, loaded, pickles
from ptzip.scanning.regions import Budget, Item, Outcome, Read, Reader, Reading, Refused, Region
from ptzip.scanning.subjects import Data, NoteKind, PickleStream, Subject
from ptzip.scanning.zip_readers import zip_files
from ptzip.zip.find_archives import is_zip

MOST_DEEP = 8
"""The most regions inside one another that are read."""

MOST_TEXT = 1 << 26
"""The longest text in bytes that is searched for encoded files."""


class _Open:
    """A region that is being read."""

    def __init__(self, region: Region, reader: Reader) -> None:
        self.region = region
        self.items = _guarded(region, reader)
        self.has_pickle = False


def subjects(source: Source, limits: Limits, trusted: Trust = NOTHING) -> Iterator[Subject]:
    """Everything in a file that rules judge. An error ends the reading in which it occurs, with a note about it; too many parts
    end the scan.
    """
    return walked(Region(source, Budget(limits, source.size), trusted))


def walked(file: Region) -> Iterator[Subject]:
    """The same of a region that is read as a file."""
    queue = [_Open(file, anything)]
    while queue:
        current = queue[-1]
        found = next(current.items, None)
        if found is None:
            queue.pop()
            if current.region.is_loaded and not current.has_pickle:
                yield current.region.note(
                    NoteKind.STRANGE, "a call loads these bytes, which are no checkpoint of a known format"
                )
        elif isinstance(found, Region):
            try:
                file.budget.count_part()
            except LimitError as error:
                yield file.note(NoteKind.LIMIT, str(error))
                return
            queue.append(_Open(found, anything if found.reading is Reading.ANYTHING else embedded))
        else:
            yield found
            if isinstance(found, PickleStream):
                for region in queue:
                    region.has_pickle = True
                queue.append(_values(current.region, found))


def _guarded(region: Region, reader: Reader) -> Generator[Item, None, Outcome]:
    """One reading of a region. What an error leaves unread is unknown, whatever the region holds."""
    try:
        with placed(region.source):
            return (yield from reader(region))
    except PtzipError as error:
        kind = NoteKind.LIMIT if isinstance(error, LimitError) else NoteKind.STRANGE if region.is_optional else NoteKind.UNREAD
        yield region.note(kind, str(error))
        return Read(region.source.size)


def anything(region: Region) -> Generator[Item, None, Outcome]:
    """Every reading of a region that a loader may take, and what is beyond them."""
    source, outcomes = region.source, list[Outcome]()
    if region.depth > MOST_DEEP:
        raise LimitError(f"more than {MOST_DEEP} pickles and containers are nested")
    kinds = list(kinds_of(source))
    for kind in kinds:
        if kind in READERS:
            outcomes.append((yield from _guarded(region._replace(is_other=region.is_other or len(kinds) > 1), READERS[kind])))
        else:
            row = signature_of(source.read(0, min(source.size, HEAD)), kind)
            yield region.note(NoteKind.STRANGE, f"this is {row.name if row else kind}, which cannot be scanned")
            outcomes.append(Read(source.size))
    end = max((outcome.end for outcome in outcomes if isinstance(outcome, Read)), default=None)
    if end is None:
        yield from _refused(region, next((one.why for one in outcomes if isinstance(one, Refused) and one.why), ""))
    elif end < source.size:
        yield from beyond(region, end, source.size - end, f"what follows byte {region.at(end)}")
    return Read(source.size)


def _refused(region: Region, why: str) -> Iterator[Item]:
    """What no loader reads as it is; a text may hold files that are encoded."""
    source = region.source
    if is_text(source):
        if source.size > MOST_TEXT:
            yield region.note(NoteKind.LIMIT, f"a text of {source.size:,} bytes is larger than the limit of {MOST_TEXT:,}")
        yield from _encoded(region, source.read(0, min(source.size, MOST_TEXT)))
    if region.is_optional:
        yield Data(region.location)
    else:
        yield region.note(NoteKind.UNREAD, why or f"this is {described(source)}")


def _encoded(region: Region, text: bytes, offset: int = 0) -> Iterator[Item]:
    """The files and pickles that a text holds in base64 and the like."""
    for name, at, data in decoded(text):
        region.budget.inflate(len(data))
        what = f"{name} at {region.at(offset + at)}"
        inner = region.inner(BytesSource(data, what, Position(0, what)), what, is_optional=True)
        yield inner._replace(is_other=True)  # chance decodes to anything


def _values(region: Region, stream: PickleStream) -> _Open:
    """The bytes and texts in a pickle that may be files or pickles themselves."""

    def read(region: Region) -> Generator[Item, None, Outcome]:
        yield from contents(region, stream)
        return Read(region.source.size)

    source = region.source if stream.source is None else stream.source
    return _Open(region._replace(source=source, location=stream.location, is_loaded=False), read)


def contents(region: Region, stream: PickleStream) -> Iterator[Item]:
    if stream.is_doubtful:
        return
    if region.depth > MOST_DEEP:
        yield region.note(NoteKind.LIMIT, f"more than {MOST_DEEP} pickles and containers are nested")
        return
    given = loaded(stream)
    for node in stream.size.atoms:
        if isinstance(node.value, str | bytes | bytearray):
            yield from _value(region, node, is_loaded=id(node) in given)


def _value(region: Region, node: Atom, is_loaded: bool) -> Iterator[Item]:
    """One text or one array of bytes in a pickle."""
    text, what = isinstance(node.value, str), f"bytes at {region.at(node.offset)}"
    try:
        data = node.value.encode("latin-1") if isinstance(node.value, str) else bytes(node.value)
    except UnicodeEncodeError:
        data = node.value.encode("utf-8", "surrogatepass")
    inner = BytesSource(data, what, Position(0, what))
    if is_loaded or is_zip(inner) or compression_of(inner):
        yield region.inner(inner, what, is_optional=True, is_loaded=is_loaded)
    elif not text or b"\n" in data or b"\x93" in data:  # every pickle with an import has one of these
        yield region.inner(inner, what, Reading.TEXT if text else Reading.BYTES)
    if text or is_text(inner):
        yield from _encoded(region, data, node.offset)


def compressed(region: Region) -> Generator[Item, None, Outcome]:
    """What compressed bytes hold."""
    kind = compression_of(region.source)
    if kind is None:
        return Refused("")
    faults = list[str]()
    try:
        inner = unpacked(region.source, kind, region.budget.limits, faults)
    except FormatError as error:  # nothing was unpacked
        return Refused(str(error))
    with contextlib.closing(inner):
        if region.depth:  # the file itself may be compressed, as large as `Limits` allows
            region.budget.inflate(inner.size)
        yield region.inner(inner, f"content of the {kind.name}")
    for fault in faults:
        yield region.note(NoteKind.STRANGE, fault)
    return Read(region.source.size)


def array(region: Region) -> Generator[Item, None, Outcome]:
    from ptzip.scanning.array_reader import arrays  # here and below: few files are of this kind

    return (yield from arrays(region))


def tar(region: Region) -> Generator[Item, None, Outcome]:
    from ptzip.scanning import tar_reader  # as above

    return (yield from tar_reader.tar(region))


def safetensors(region: Region) -> Generator[Item, None, Outcome]:
    from ptzip.scanning import safetensors_reader  # as above

    return (yield from safetensors_reader.safetensors(region))


def code(region: Region) -> Generator[Item, None, Outcome]:
    yield region.note(NoteKind.CODE, "this is native code or a script")
    return Read(region.source.size)


READERS: dict[Kind, Reader] = {
    Kind.PICKLE: pickles,  # pickle.load, joblib.load, numpy.load, and torch.load where there is neither a zip nor a tar
    Kind.COMPRESSED: compressed,  # joblib.load, pandas.read_pickle
    Kind.ARRAY: array,  # numpy.load
    Kind.TAR: tar,  # torch.load where there is no zip, tarfile, NeMo
    Kind.SAFETENSORS: safetensors,  # safetensors
    Kind.ZIP: zip_files,  # torch.load and torch.jit.load (miniz), numpy.load and stable_baselines3 (zipfile)
    Kind.NATIVE: code,  # the system
    Kind.SCRIPT: code,  # the system
}
"""Which loaders take bytes for each kind, and the reader that reads them so."""
