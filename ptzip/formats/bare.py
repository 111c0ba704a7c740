"""Pickles without a container: one or several in a row, as `pickle.dump` writes them, also those of joblib.

Protocols 0 and 1 have no magic number, so a file is one of those only if its first pickle is complete.
"""

from ptzip.errors import FormatError
from ptzip.formats.container import BARE, PICKLE_NOTE, TRAILING_NOTE, Member, Part, nothing_stored
from ptzip.formats.joblib import Arrays, has_arrays
from ptzip.formats.signatures import begins_pickle, described
from ptzip.formats.torchzip import fresh_records
from ptzip.io.payloads import Payload
from ptzip.io.sources import Source
from ptzip.io.streams import Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import read_pickle
from ptzip.zip.writer import ALIGNMENT, Record

JOBLIB = "joblib pickle"
"""The name of a pickle with the data of arrays between its opcodes."""

JOBLIB_REFUSAL = (
    "this is a joblib file, whose arrays are read by joblib alone, so it cannot be slimmed: "
    "joblib.dump(value, path, compress=3) writes it smaller"
)
SEVERAL = (
    "this file holds several pickles one after the other, and a slim file holds one: save each object to a file of its own"
)
TRAILING = "bytes follow the pickle, which programs other than pickle may read, and a slim file has none"


class Bare:
    """Some pickles. The storages of tensors are streams inside them, so a slim file may be a bare pickle or a torch zip.

    `arrays` are the offsets and lengths of the data of joblib's arrays, which are between the opcodes.
    """

    def __init__(
        self,
        parts: tuple[Part, ...],
        members: tuple[Member, ...],
        is_joblib: bool = False,
        arrays: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.parts = parts
        self.members = members
        self.arrays = arrays
        self.name = JOBLIB if is_joblib else BARE
        several = SEVERAL if len(parts) > 1 else TRAILING if len(members) > 1 else ""
        self.refusal = JOBLIB_REFUSAL if is_joblib else several

    alignment = ALIGNMENT

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """A torch zip."""
        return fresh_records(pickle, storages)


def read(source: Source, limits: Limits) -> Bare:
    """Open all pickles of a file, up to one that breaks off, which is kept as far as it was read.

    Raises FormatError where the first breaks off and does not begin with PROTO: it is something else then.
    """
    stream = source.whole()
    pickles, spans, at = list[Pickle](), list[tuple[int, int]](), 0
    while at < len(stream) and (not pickles or begins_pickle(stream[at : at + 2])):
        pickles.append(_read_one(stream, at, limits, spans))
        at = pickles[-1].end
        if pickles[-1].root is None:
            break
    if pickles[0].root is None and not begins_pickle(stream[:2]):
        raise FormatError(f"this is {described(source)}")
    parts = tuple(Part(f"pickle {number}", pickle, nothing_stored, source=source) for number, pickle in enumerate(pickles, 1))
    members = [Member(part.name, part.pickle.start, part.pickle.end - part.pickle.start, PICKLE_NOTE) for part in parts]
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, TRAILING_NOTE))
    return Bare(parts, tuple(members), any(map(has_arrays, pickles)), tuple(spans))


def _read_one(stream: Stream, at: int, limits: Limits, spans: list[tuple[int, int]]) -> Pickle:
    """The pickle at an offset, as joblib reads it if it has arrays of joblib, whose data are added to `spans`."""
    pickle = read_pickle(stream, at, limits)
    if not has_arrays(pickle):
        return pickle
    arrays = Arrays(lambda data, start: read_pickle(data, start, limits))
    pickle = read_pickle(stream, at, limits, arrays.skip)
    spans += arrays.spans
    return pickle
