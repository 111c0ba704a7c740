"""Tars: every member as `tarfile` extracts it, and those of torch 0.1 as torch reads them, pickles and storages in turn.

torch opens any file that is no zip as a tar, and lists all members before it reads one (`torch/serialization.py`,
`legacy_load`). A pickle that breaks off there is a finding, since nobody knows what torch would have read next.
"""

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator

from ptzip.errors import PtzipError, beyond
from ptzip.formats import tar as tars
from ptzip.formats.signatures import TAR_BLOCK
from ptzip.formats.tar import NEEDED, TarMember
from ptzip.io.sources import Window, position
from ptzip.io.streams import Stream
from ptzip.pickling.nodes import Pickle
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Region
from ptzip.scanning.subjects import MemberNames, NoteKind

MOST_MEMBERS = 50_000


def tar(region: Region) -> Generator[Item, None, Outcome]:
    """All members, also those before a header that cannot be read, and the bytes between them."""
    found, fault = list[TarMember](), None
    try:
        for member in tars.members(region.source):
            found.append(member)
            if len(found) > MOST_MEMBERS:
                break
    except PtzipError as error:
        fault = error
    yield MemberNames(region.location, [member.name for member in found])
    yield from _oddities(region, found)
    read_by_torch = yield from _torch(region, found)
    for member in found:
        if member.content.size and id(member) not in read_by_torch:
            yield region.inner(member.content, f"member {member.name}", is_optional=True)
        yield from _padding(region, member)
    if fault is not None:
        raise fault
    return Read(max((member.end for member in found), default=TAR_BLOCK))


def _oddities(region: Region, found: list[TarMember]) -> Iterator[Item]:
    """Members that are not what they seem to be."""
    for name, count in Counter(member.name for member in found).items():
        if count > 1:
            message = f"{count} members have this name; readers differ in which they use"
            yield region.note(NoteKind.STRANGE, message, what=f"member {name}")
    for member in found:
        what = f"member {member.name}"
        if member.link:
            yield region.note(NoteKind.STRANGE, f"this is a {member.link}", what=what)
        if member.is_odd:
            message = "the stored parts or the headers overlap, are cut off or disagree, so readers differ"
            yield region.note(NoteKind.STRANGE, message, what=what)
    if len(found) > MOST_MEMBERS:
        yield region.note(NoteKind.LIMIT, f"the tar has more than {MOST_MEMBERS:,} members")


def _torch(region: Region, found: list[TarMember]) -> Generator[Item, None, frozenset[int]]:
    """The members that torch reads, if it wrote this tar; returns their identities if it reads all of them.

    Where it does not, they are read like any others, after the pickles that torch reads before it gives up.
    """
    last = {member.name: member for member in found}
    if not last.keys() >= {*NEEDED}:
        return frozenset()
    sources = {f"member {name}": last[name].content for name in NEEDED}
    needed, seen, rest = [last[name] for name in NEEDED], list[tuple[str, Pickle]](), None

    def read_at(what: str, data: Stream, at: int) -> Pickle:
        if len(seen) > region.budget.limits.pickles:
            raise beyond("pickles", region.budget.limits.pickles, "the members of torch have more pickles than")
        pickle = region.budget.read(data, at)
        if at < len(data):
            seen.append((what, pickle))
        return pickle

    with contextlib.suppress(PtzipError):
        rest = tars.read_members(needed, read_at).rest
    for what, pickle in seen:
        source = sources[what]
        yield region.pickle(pickle, f"{what}, pickle at {position(source, pickle.start).offset}", source=source)
    for what, is_storage, source in rest or ():
        if not is_storage:
            yield region.note(NoteKind.STRANGE, f"{source.size:,} bytes follow everything that torch reads", what=what)
        yield region.inner(source, what, Reading.STORAGE if is_storage else Reading.LEFTOVER)
    return frozenset() if rest is None else frozenset(map(id, needed))


def _padding(region: Region, member: TarMember) -> Iterator[Item]:
    """What fills the last block of a member, which should be zeros."""
    size = min(member.end, region.source.size) - member.padding
    rest = region.source.read(member.padding, min(size, TAR_BLOCK)) if size > 0 else b""
    if rest.strip(b"\0"):
        what = f"after member {member.name}"
        yield region.note(NoteKind.STRANGE, f"{size:,} bytes follow the data of the member", member.padding, what)
        yield region.inner(Window(region.source, member.padding, size), what, Reading.LEFTOVER)
