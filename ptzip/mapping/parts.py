"""The map of a file: one part after the other from its first byte to its last, whatever the file.

The structures of a format claim their bytes (`claims`); here the claims become parts, so that every byte is in exactly one.
Bytes that nothing claims are "unreferenced". Where claims contradict each other, bytes belong to the one that begins last,
whose remark says so.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from operator import attrgetter
from typing import NamedTuple, TypeVar

from ptzip.errors import FormatError, PtzipError
from ptzip.formats import signatures
from ptzip.io.compression import compression_of
from ptzip.io.sources import Source, Window
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.mapping.claims import Claim
from ptzip.mapping.owners import OpenedFile
from ptzip.zip.extents import first_nonzero
from ptzip.zip.find_archives import is_zip

UNREFERENCED, CONTINUED = "unreferenced", "continued"

FIRST_BYTES = 8
"""Bytes of an unreferenced stretch that its remark shows."""


class FilePart(NamedTuple):
    """A part of a file: `length` bytes from `offset` are a `kind` of `owner`, a record, a storage, a tensor or a pickle.

    `remark` says what is unusual about it. `structure` names the declaration of its fields, "" if it has none or is not all
    there. `users` are the names of the tensors on a storage, or what a record is for.
    """

    offset: int
    length: int
    kind: str
    owner: str = ""
    remark: str = ""
    structure: str = ""
    users: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + self.length


def file_parts(source: Source, limits: Limits = DEFAULT_LIMITS) -> Iterator[FilePart]:
    """The parts of a file in the order of their offsets, contiguous from 0 to its size, also of one that does not open.

    Only headers and pickles are read, and of a zip that is cut off every byte. A file that is compressed is mapped as it is.
    """
    return parts_of(OpenedFile(source, limits))


def parts_of(file: OpenedFile) -> Iterator[FilePart]:
    """The same of a file that others look at too."""
    claims, faults = list[Claim](), list[str]()
    try:
        for claim in _claims(file):
            claims.append(claim)
    except PtzipError as error:
        faults.append(str(error))
    for part, following in pairwise(chain(_tiled(file.source, claims), (None,))):
        assert part is not None
        is_unknown = part.kind == UNREFERENCED or following is None
        yield _remarked(part, faults.pop()) if faults and is_unknown else part


def part_at(parts: Sequence[FilePart], offset: int) -> FilePart:
    """The part that has the byte at an offset. Raises FormatError where the file has no such byte."""
    index = bisect_right(parts, offset, key=attrgetter("offset")) - 1
    if index < 0 or offset >= parts[index].end:
        size = parts[-1].end if parts else 0
        raise FormatError(f"there is no byte {offset:,}: the file has {size:,}")
    return parts[index]


def _claims(file: OpenedFile) -> Iterator[Claim]:
    """The claims of the structures of a file; formats are detected in the same order as when a file is opened."""
    source, limits = file.source, file.limits
    if compression_of(source) is not None:
        from ptzip.mapping import compressed_claims  # here and below: most files are of one format

        yield from compressed_claims.claims(source)
    elif signatures.is_whole_zip(source):
        from ptzip.mapping import zip_claims  # as above

        yield from zip_claims.claims(source, file.container, file.owners, limits)
        if file.limit is not None:
            raise file.limit
    elif signatures.is_tar(source):
        from ptzip.mapping import tar_claims  # as above

        yield from tar_claims.claims(source, limits)
    else:
        yield from _other_claims(source, limits)


def _other_claims(source: Source, limits: Limits) -> Iterator[Claim]:
    from ptzip.mapping import stream_claims, zip_claims  # as above

    head = source.read(0, min(signatures.CHECKPOINT_HEAD, source.size))
    end = 0
    if signatures.is_safetensors(source):
        found = stream_claims.safetensors_claims(source)
    elif signatures.is_legacy(source):
        found = stream_claims.legacy_claims(source, limits)
    elif signatures.signature_of(head, signatures.Kind.ARRAY):
        found = stream_claims.array_claims(source, limits)
    elif signatures.is_pickle(source):
        found = stream_claims.bare_claims(source, limits)
    else:
        found = iter(())
    for claim in found:
        end = max(end, claim.stop)
        yield claim
    rest = Window(source, end, max(source.size - end, 0))
    if is_zip(rest) or head.startswith(zip_claims.BEGINNINGS):
        yield from (claim.moved(end) for claim in zip_claims.claims(rest, None, {}, limits))


def _tiled(source: Source, claims: Iterable[Claim]) -> Iterator[FilePart]:
    """The parts of a file by what is claimed; of several claims to a byte, the one that begins last has it."""
    is_there = [claim for claim in claims if claim.start < min(claim.stop, source.size) and claim.stop > 0]
    pending, at = list[Claim](), 0
    for claim in sorted(is_there, key=lambda one: (one.start, -one.stop)):
        start = max(claim.start, 0)
        yield from _up_to(source, pending, at, start)
        at = start
        while pending and pending[-1].stop <= at:
            pending.pop()
        if pending and not claim.is_inner:
            claim = _remarked(claim, f"overlaps {_name(pending[-1])}")
        if claim.stop > source.size:
            claim = _remarked(claim, f"{claim.stop - source.size:,} of its {claim.stop - start:,} bytes are missing")
        pending.append(claim)
    yield from _up_to(source, pending, at, source.size)


def _up_to(source: Source, pending: list[Claim], at: int, stop: int) -> Iterator[FilePart]:
    """The parts from byte `at` to another, by the claims that are pending, the last of which counts."""
    while at < stop:
        while pending and pending[-1].stop <= at:
            pending.pop()
        end = min(pending[-1].stop, stop) if pending else stop
        yield _part(pending[-1], at, end) if pending else _unreferenced(source, at, end)
        at = end


def _part(claim: Claim, start: int, stop: int) -> FilePart:
    is_whole = (start, stop) == (claim.start, claim.stop)
    remark = claim.remark if start <= max(claim.start, 0) else CONTINUED
    structure = claim.structure if is_whole else ""
    return FilePart(start, stop - start, claim.kind, claim.owner, remark, structure, claim.users)


Remarked = TypeVar("Remarked", Claim, FilePart)


def _remarked(one: Remarked, remark: str) -> Remarked:
    return one._replace(remark=f"{one.remark}; {remark}" if one.remark else remark)


def _name(claim: Claim) -> str:
    return f"the {claim.kind} of {claim.owner}" if claim.owner else f"the {claim.kind}"


def _unreferenced(source: Source, start: int, stop: int) -> FilePart:
    """A stretch that nothing claims, with its first bytes and what they look like."""
    stretch = Window(source, start, stop - start)
    if first_nonzero(source, start, stop) is None:
        return FilePart(start, stretch.size, UNREFERENCED, remark="zeros")
    head, kind = stretch.read(0, min(FIRST_BYTES, stretch.size)), signatures.resembled(stretch)
    remark = f"begins {head.hex(' ')}{f', like {kind}' if kind else ''}"
    return FilePart(start, stretch.size, UNREFERENCED, remark=remark)
