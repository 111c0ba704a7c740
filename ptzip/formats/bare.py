"""Pickles without a container: one or several in a row, as `pickle.dump` writes them.

Rule: a file is taken for one if its first pickle is whole; what stands behind the last whole pickle is listed.
"""

from dataclasses import dataclass

from ptzip.formats.part import Member, Part, ReadOnly, nothing_stored
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.unpickler import read_pickle
from ptzip.source import Source, Stream

PROTO = 0x80
HIGHEST_PROTOCOL = 5
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
    """Whether the first bytes are those of a pickle, and one of protocol 0 or 1 is whole."""
    head = source.read(0, min(2, source.size))
    if len(head) < 2:
        return False
    if head[0] == PROTO:
        return head[1] <= HIGHEST_PROTOCOL
    return head[0] in TEXT_BEGINNINGS and read_pickle(source.whole(), 0, DEFAULT_LIMITS).root is not None


def read(source: Source, limits: Limits) -> Bare:
    """Open all pickles of a file; one that is broken is the last, and is kept as far as it was read."""
    stream = source.whole()
    pickles, at = list[Pickle](), 0
    while at < len(stream) and (not pickles or _begins(stream, at)):
        pickles.append(read_pickle(stream, at, limits))
        at = pickles[-1].end
        if pickles[-1].root is None:
            break
    parts = tuple(Part(f"pickle {number}", pickle, nothing_stored) for number, pickle in enumerate(pickles, 1))
    members = [Member(part.name, part.pickle.start, part.pickle.end - part.pickle.start, "pickle") for part in parts]
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, "behind the last pickle"))
    return Bare(parts, tuple(members))


def _begins(stream: Stream, at: int) -> bool:
    return at + 1 < len(stream) and stream[at] == PROTO and stream[at + 1] <= HIGHEST_PROTOCOL
