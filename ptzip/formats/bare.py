"""Pickles without a container: one or several in a row, as `pickle.dump` writes them.

Rule: protocols 0 and 1 have no mark of their own, so a file is taken for one of them only if its first pickle is whole;
what stands behind the last whole pickle is listed.
"""

from ptzip.errors import FormatError
from ptzip.formats.container import Member, Part, ReadOnly, nothing_stored
from ptzip.formats.signatures import begins_pickle, described
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import read_pickle


class Bare(ReadOnly):
    """Some pickles, opened."""

    def __init__(self, parts: tuple[Part, ...], members: tuple[Member, ...]) -> None:
        self.parts = parts
        self.members = members

    name = "bare pickle"
    refusal = "this is a bare pickle: its tensors are inside the pickle, so there is nothing to slim"


def read(source: Source, limits: Limits) -> Bare:
    """Open all pickles of a file; one that is broken is the last, and is kept as far as it was read.

    Raises FormatError where the first is broken and nothing but its first letter told that it is one.
    """
    stream = source.whole()
    pickles, at = list[Pickle](), 0
    while at < len(stream) and (not pickles or begins_pickle(stream[at : at + 2])):
        pickles.append(read_pickle(stream, at, limits))
        at = pickles[-1].end
        if pickles[-1].root is None:
            break
    if pickles[0].root is None and not begins_pickle(stream[:2]):
        raise FormatError(f"this is {described(source)}")
    parts = tuple(Part(f"pickle {number}", pickle, nothing_stored) for number, pickle in enumerate(pickles, 1))
    members = [Member(part.name, part.pickle.start, part.pickle.end - part.pickle.start, "pickle") for part in parts]
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, "behind the last pickle"))
    return Bare(parts, tuple(members))
