"""What is claimed of a file that is a sequence: the legacy stream of torch, pickles, safetensors, an array of numpy."""

from collections.abc import Iterator

from ptzip.errors import PtzipError
from ptzip.formats import bare, legacy, npy
from ptzip.formats.container import Member
from ptzip.formats.legacy import Legacy
from ptzip.io.sources import Source
from ptzip.io.streams import Stream
from ptzip.limits import Limits
from ptzip.mapping.claims import (
    ARRAY,
    COUNT,
    NPY_HEADER,
    PICKLE,
    SAFETENSORS_HEADER,
    TENSOR,
    Claim,
    structured,
)
from ptzip.mapping.owners import owners_of, storage_claims
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import read_seen

COUNT_SIZE = legacy.COUNT.size

BROKEN = "breaks off"
"""How the remark about a pickle begins that is not complete."""


def safetensors_claims(source: Source) -> Iterator[Claim]:
    """The header, and every tensor that it places. Raises FormatError, LimitError."""
    from ptzip.formats.safetensors_header import read_header  # few files are safetensors

    header = read_header(source)
    yield structured(0, header.start, SAFETENSORS_HEADER, remark="; ".join(header.faults[:3]))
    for start, end, name in header.spans:
        yield Claim(header.start + start, header.start + end, TENSOR, name)


def array_claims(source: Source, limits: Limits, owner: str = "") -> Iterator[Claim]:
    """The header of a `.npy` and its data. Raises FormatError."""
    layout = npy.layout(source)
    yield structured(0, layout.start, NPY_HEADER, owner, is_inner=bool(owner))
    if layout.size is not None:
        yield Claim(layout.start, layout.start + layout.size, ARRAY, owner, is_inner=bool(owner))
    elif layout.is_known:
        yield pickle_claim(read_seen(source.whole(), layout.start, limits), owner or "objects")._replace(is_inner=bool(owner))


def pickle_claim(pickle: Pickle, owner: str, start: int = 0) -> Claim:
    """The claim of a pickle in a stream that begins at byte `start`."""
    remark = "" if pickle.root is not None else f"{BROKEN}: {pickle.anomalies[-1].message}"
    return Claim(start + pickle.start, start + pickle.end, PICKLE, owner, remark)


def bare_claims(source: Source, limits: Limits) -> Iterator[Claim]:
    """Pickles one after the other, and the arrays of joblib between their opcodes. Raises FormatError, LimitError."""
    found = bare.read(source, limits)
    for part in found.parts:
        yield pickle_claim(part.pickle, part.name)
    for at, length in found.arrays:
        yield Claim(at, at + length, ARRAY, "joblib", is_inner=True)


def legacy_claims(source: Source, limits: Limits) -> Iterator[Claim]:
    """The pickles and storages of torch's legacy stream. Raises as `legacy.read`, after all that can be read."""
    pickles = list[tuple[str, Pickle]]()

    def read_at(name: str, stream: Stream, at: int) -> Pickle:
        pickles.append((name, read_seen(stream, at, limits)))
        return pickles[-1][1]

    fault: PtzipError | None = None
    try:
        found: Legacy | None = legacy.read(source, limits, read_at)
    except PtzipError as error:
        found, fault = _remains(source, limits), error
    yield from (pickle_claim(pickle, name) for name, pickle in pickles)
    owners = owners_of(found, source, limits)
    for member in found.members if found else ():
        if not member.note:
            yield structured(member.offset - COUNT_SIZE, member.offset, COUNT, member.name)
            yield from storage_claims(member.offset, member.size, member.name, owners)
    if fault is not None:
        raise fault


def _remains(source: Source, limits: Limits) -> Legacy | None:
    """What is left of a stream that was cut off; None where its object is not complete."""
    try:
        found = legacy.read_cut(source, limits)
    except PtzipError:
        return None
    members = (Member(f"storage {key}", one.offset, one.length) for key, one in found.storages.items())
    return Legacy((found.part,), tuple(members))
