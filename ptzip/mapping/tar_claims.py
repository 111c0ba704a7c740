"""What is claimed of a tar: headers, data and padding of its members, and in those of torch 0.1 pickles and storages."""

from collections.abc import Iterator

from ptzip.errors import PtzipError
from ptzip.formats import tar
from ptzip.formats.collection import Packed
from ptzip.formats.signatures import TAR_BLOCK, TAR_LAYOUT, tar_number
from ptzip.formats.tar import TarMember
from ptzip.io.sources import Source, Window
from ptzip.io.streams import Stream
from ptzip.limits import Limits
from ptzip.mapping.claims import COUNT, FILE, LONG_NAME, PADDING, PAX_RECORDS, TAR_HEADER, Claim, structured
from ptzip.mapping.owners import owners_of, start_of, storage_claims
from ptzip.mapping.stream_claims import COUNT_SIZE, pickle_claim
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import read_seen
from ptzip.zip.extents import first_nonzero

TYPE, SIZE = TAR_LAYOUT.span("type"), TAR_LAYOUT.span("size")

DESCRIBING = dict.fromkeys((b"x", b"g", b"X"), PAX_RECORDS) | dict.fromkeys((b"L", b"K"), LONG_NAME)
"""Types of members that describe the next one, and what they hold."""


def claims(source: Source, limits: Limits) -> Iterator[Claim]:
    """The claims of a tar. Raises as `tar.members`, after the claims of the members before."""
    found, at = list[TarMember](), 0
    for member in tar.members(source):
        yield from _member(source, member, at)
        found.append(member)
        at = member.end
    if first_nonzero(source, at, source.size) is None:
        yield Claim(at, source.size, "end of tar")
    if tar.is_of_torch(found):
        yield from _torch(source, found, limits)


def _member(source: Source, member: TarMember, at: int) -> Iterator[Claim]:
    content = member.content
    data = content.offset if isinstance(content, Window) else min(at + TAR_BLOCK, member.padding)
    yield from _headers(source, member.name, at, data)
    is_whole = isinstance(content, Window)
    packed = Packed(content, content.size)
    remark = "" if is_whole else "sparse: its holes are not stored"
    if is_whole and content.size and packed.is_checkpoint():
        remark = "a checkpoint, mapped as FILE::NAME"
    yield Claim(data, member.padding, FILE, member.name, remark)
    is_clean = first_nonzero(source, member.padding, member.end) is None
    yield Claim(member.padding, member.end, PADDING, member.name, "" if is_clean else "it is not zeros")


def _headers(source: Source, name: str, at: int, stop: int) -> Iterator[Claim]:
    """The header of a member, after those that describe it."""
    while at + TAR_BLOCK <= stop:
        block = source.read(at, TAR_BLOCK)
        yield structured(at, at + TAR_BLOCK, TAR_HEADER, name)
        at += TAR_BLOCK
        try:
            end = at + tar_number(block[SIZE])
        except ValueError:
            return
        if block[TYPE] not in DESCRIBING or not at <= end <= stop:
            return
        yield structured(at, end, DESCRIBING[block[TYPE]], name)
        at = end + -end % TAR_BLOCK
        yield Claim(end, at, PADDING, name)


def _torch(source: Source, found: list[TarMember], limits: Limits) -> Iterator[Claim]:
    """The pickles and storages in the members of a tar of torch 0.1."""
    starts = {f"member {one.name}": start_of(one.content, source) for one in found}
    pickles = list[tuple[str, Pickle]]()

    def read_at(what: str, stream: Stream, at: int) -> Pickle:
        pickles.append((what, read_seen(stream, at, limits)))
        return pickles[-1][1]

    try:
        opened = tar.read_members(found, read_at)
    except PtzipError:
        opened = None
    for what, pickle in pickles:
        start = starts[what]
        yield pickle_claim(pickle, what, start)._replace(is_inner=True)
    owners = owners_of(opened, source, limits)
    for name, is_storage, window in opened.rest if opened else ():
        if is_storage:
            at = start_of(window, source)
            yield structured(at - COUNT_SIZE, at, COUNT, name, is_inner=True)
            yield from storage_claims(at, window.size, name, owners, is_inner=True)
