"""Pickles without a container: one or several in a row, as `pickle.dump` writes them.

Rule: protocols 0 and 1 have no mark of their own, so a file is taken for one of them only if its first pickle is whole;
what stands behind the last whole pickle is listed.
"""

from dataclasses import dataclass

from ptzip.errors import FormatError
from ptzip.formats.naming import described
from ptzip.formats.part import Member, Part, ReadOnly, nothing_stored
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.opcodes import BY_NAME, HIGHEST_PROTOCOL
from ptzip.pickling.unpickler import read_pickle
from ptzip.source import Source, Stream

PROTO = BY_NAME["PROTO"].code
TEXT_BEGINNINGS = frozenset(b"(cILSVFN]})")
"""How pickles of protocol 0 and 1 begin: a mark, a name, a number, a text, None or something empty."""


@dataclass(frozen=True)
class Bare(ReadOnly):
    """Some pickles, opened."""

    parts: tuple[Part, ...]
    members: tuple[Member, ...]

    name = "bare pickle"
    refusal = "this is a bare pickle: its tensors are inside the pickle, so there is nothing to slim"


def sniff(source: Source) -> bool:
    """Whether the first bytes are those of a pickle."""
    head = source.read(0, min(2, source.size))
    return _begins(head, 0) or (len(head) > 1 and head[0] in TEXT_BEGINNINGS)


def read(source: Source, limits: Limits) -> Bare:
    """Open all pickles of a file; one that is broken is the last, and is kept as far as it was read.

    Raises FormatError where the first is broken and nothing but its first letter told that it is one.
    """
    stream = source.whole()
    pickles, at = list[Pickle](), 0
    while at < len(stream) and (not pickles or _begins(stream, at)):
        pickles.append(read_pickle(stream, at, limits))
        at = pickles[-1].end
        if pickles[-1].root is None:
            break
    if pickles[0].root is None and not _begins(stream, 0):
        raise FormatError(f"this is {described(source)}")
    parts = tuple(Part(f"pickle {number}", pickle, nothing_stored) for number, pickle in enumerate(pickles, 1))
    members = [Member(part.name, part.pickle.start, part.pickle.end - part.pickle.start, "pickle") for part in parts]
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, "behind the last pickle"))
    return Bare(parts, tuple(members))


def _begins(stream: Stream, at: int) -> bool:
    return at + 1 < len(stream) and stream[at] == PROTO and stream[at + 1] <= HIGHEST_PROTOCOL
