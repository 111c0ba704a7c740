"""Arrays of numpy, one or several in a file, as repeated calls of `numpy.load` read them (`numpy/lib/format.py`, `read_array`).

Only a header that numpy itself would write, with a dtype without objects, makes the data numbers. All other data are read as a
pickle, as numpy does once it finds objects in the dtype; how it parses unusual headers depends on its version.
"""

from collections.abc import Generator

from ptzip.formats import npy
from ptzip.io.sources import Source, Window
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Region
from ptzip.scanning.subjects import NoteKind


def arrays(region: Region) -> Generator[Item, None, Outcome]:
    """All arrays in a row."""
    source, at, count = region.source, 0, 0
    while _is_array(source, at):
        count += 1
        what = f"array {count}" if count > 1 else ""
        found = npy.layout(Window(source, at, source.size - at))
        at += found.start
        if found.size is None:
            at = yield from _objects(region, at, what, found.is_known)
        else:
            rest = source.size - at
            yield region.inner(Window(source, at, rest), what or "the values of the array", Reading.STORAGE)
            if rest < found.size:
                message = f"the array ends early: expected {found.size:,} bytes, found {rest:,}"
                yield region.note(NoteKind.STRANGE, message, at, what)
            at += min(found.size, rest)
    return Read(at)


def _is_array(source: Source, at: int) -> bool:
    return source.size - at > len(npy.MAGIC) and source.read(at, len(npy.MAGIC)) == npy.MAGIC


def _objects(region: Region, at: int, what: str, is_known: bool) -> Generator[Item, None, int]:
    """The pickle of an array of objects; returns where it ends. One that breaks off is a finding, whatever it looks like."""
    if not is_known:
        yield region.note(NoteKind.STRANGE, "the header of the array is not as numpy writes it", what=what)
    pickle = region.budget.read(region.source.whole(), at)
    yield region.pickle(pickle, what or "the objects of the array")
    return pickle.end if pickle.root is not None else region.source.size
