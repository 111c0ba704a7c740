"""A zip that was cut off, as an interrupted download or save leaves it: there is no directory, but the pickle comes first.

Rule: what follows is computed from the pickle, since torch lays records out from their sizes alone; every record that begins
before the end of the file is looked for where it must be.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.formats.container import Part, nothing_stored
from ptzip.formats.torchzip import MOST_ALIGNMENT, PICKLE, STORAGES
from ptzip.io.payloads import BytesPayload, read_all
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.pickling.reader import read_seen
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors
from ptzip.verifying.loadability import Blank
from ptzip.verifying.report import CUT, HEADER, Problem, Rest
from ptzip.zip import structs, writer
from ptzip.zip.structs import STORED, decode_name
from ptzip.zip.writer import ALIGNMENT, Record

UNTOLD = "so nobody can tell how much is missing (`ptzip repair` finds what is there)"

SMALL = 1 << 12
"""Records beside the storages are shorter."""

COMPUTED = ".format_version"
"""The record that torch writes since 2.7, and with it the storages in the order of their first appearance."""

ALIGNED = ".storage_alignment"
"""The record that says to how many bytes records are aligned."""

ID = ".data/serialization_id"
ID_SIZE = 40
"""The record that torch writes last since 2.1: a number of so many digits."""


class Remains(NamedTuple):
    """What is left of a file: the problem, and what is whole, where the pickle is."""

    problem: Problem
    rest: Rest | None = None


def remains(source: Source, limits: Limits) -> Remains:
    """What can be told of a zip without a directory."""
    name, at = _head(source, 0)
    prefix = name[: name.find("/") + 1]
    if name.lower() != (prefix + PICKLE).lower():
        return Remains(Problem(CUT, "", "it is cut off: there is no central directory, and its first record is no pickle", 0))
    if structs.numbers(structs.LocalHeader, source.read(0, structs.LOCAL_SIZE))["method"] != STORED:
        return Remains(Problem(CUT, "", f"it is cut off: its records are compressed, {UNTOLD}", source.size))
    pickle = read_seen(source.whole(), at, limits)
    if pickle.root is None:
        there = f"of which {source.size - at:,} bytes are there"
        return Remains(Problem(CUT, name, f"it is cut off inside its pickle, {there}", at))
    part = Part(f"record {PICKLE}", pickle, nothing_stored)
    planned = layout(source, name, at, pickle.end, part)
    if not _is_laid_out(source, planned, at):
        return Remains(Problem(CUT, "", f"it is cut off: another program than torch laid it out, {UNTOLD}", source.size))
    return _measured(source, planned, part, prefix, limits)


def _measured(source: Source, planned: writer.Plan, part: Part, prefix: str, limits: Limits) -> Remains:
    """What there is and what is missing of a file that torch laid out as planned."""
    ends = {placed.record.name: placed.data_offset + placed.record.payload.length for placed in planned.placed}
    whole = {key for key in part.storages if ends[f"{prefix}{STORAGES}{key}"] <= source.size}
    missing = max(planned.size - source.size, 0)
    end = source.whole().rfind(structs.END_SIGNATURE, max(ends.values()))
    if not missing and 0 <= end <= source.size - structs.END_SIZE:
        message = "the end of the central directory is further from the end of the file than its comment can be long"
        return Remains(Problem(HEADER, "", message, end))
    message = _message(missing, planned.size, _is_certain(source, planned, prefix))
    return Remains(Problem(CUT, "", message, source.size), _rest(part, whole, missing, limits))


def _message(missing: int, size: int, is_certain: bool) -> str:
    if not missing:
        return "it is cut off: all storages are there, but the end of the central directory is not"
    if not is_certain:
        return f"it is cut off before its first storage: at least {missing:,} bytes are missing"
    return f"it is cut off: {missing:,} of {size:,} bytes are missing"


def _is_laid_out(source: Source, planned: writer.Plan, start: int) -> bool:
    """Whether the pickle begins where torch puts it, and every record that begins in the file is where it should be."""
    begun = [placed for placed in planned.placed if placed.data_offset <= source.size]
    names = ((placed, structs.encode_name(placed.record.name)) for placed in begun)
    return planned.placed[0].data_offset == start and all(
        source.read(placed.offset + structs.LOCAL_SIZE, len(name)) == name for placed, name in names
    )


def _is_certain(source: Source, planned: writer.Plan, prefix: str) -> bool:
    """Whether the file goes on to its first storage: what stands before it depends on the version of torch."""
    first = next((placed for placed in planned.placed if placed.record.name.startswith(prefix + STORAGES)), planned.placed[0])
    return first.data_offset <= source.size


def layout(source: Source, name: str, start: int, stop: int, part: Part) -> writer.Plan:
    """Where torch put every record, told by its pickle of that name, which lies from `start` to `stop`.

    Exact for files of torch 1.6 and later that nobody wrote anew.
    """
    prefix = name[: name.find("/") + 1]
    small = list(_small(source, prefix, stop))
    sizes = _in_order(part, any(record.name == f"{prefix}{COMPUTED}" for record in small))
    records = [Record(name, Blank(stop - start)), *small]
    records += [Record(f"{prefix}{STORAGES}{key}", Blank(size)) for key, size in sizes.items()]
    records += _last(prefix, [record.name for record in records])
    digits = next((read_all(record.payload) for record in small if record.name == f"{prefix}{ALIGNED}"), b"")
    return writer.plan(records, int(digits) if digits.isdigit() and 0 < int(digits) <= MOST_ALIGNMENT else ALIGNMENT)


def _in_order(part: Part, by_appearance: bool) -> dict[str, int]:
    """The sizes of the storages by key, as their records follow one another: torch before 2.7 sorted the keys as texts."""
    sizes = {key: storage.size for key, storage in part.storages.items()}
    return sizes if by_appearance else {key: sizes[key] for key in sorted(sizes)}


def _rest(part: Part, whole: set[str], missing: int, limits: Limits) -> Rest:
    tensors = named_tensors(build(part, unknown="keep", limits=limits))
    kept = [name for name, tensor in tensors.items() if storage_keys(tensor) <= whole]
    return Rest(missing, tuple(kept), tuple(name for name in tensors if name not in set(kept)))


def storage_keys(tensor: Tensor) -> set[str]:
    """The storages that a tensor needs."""
    own = {tensor.storage.key} if tensor.storage is not None else set[str]()
    return own.union(*(storage_keys(inner) for inner in tensor.components.values()))


def _head(source: Source, at: int) -> tuple[str, int]:
    """The name in a local header, and where its data begin. Raises FormatError where there is none."""
    fixed = source.read(at, structs.LOCAL_SIZE)
    if not fixed.startswith(structs.LOCAL_SIGNATURE):
        raise FormatError("there is no local header", at)
    name, extra = structs.lengths(structs.LocalHeader, fixed)
    return decode_name(source.read(at + structs.LOCAL_SIZE, name)), at + structs.LOCAL_SIZE + name + extra


def _small(source: Source, prefix: str, end: int) -> Iterator[Record]:
    """The short records between the pickle and the storages, each with its descriptor."""
    at = end + structs.DESCRIPTOR_SIZE
    while True:
        try:
            name, data = _head(source, at)
        except FormatError:
            return
        if name.startswith(prefix + STORAGES) or data > source.size:
            return
        room = source.read(data, max(0, min(SMALL, source.size - data)))
        length = room.find(structs.DESCRIPTOR_SIGNATURE)
        if length < 0:
            return
        yield Record(name, BytesPayload(room[:length]))
        at = data + length + structs.DESCRIPTOR_SIZE


def _last(prefix: str, names: list[str]) -> Iterator[Record]:
    """The records that torch writes behind the storages."""
    yield Record(f"{prefix}version", Blank(2))
    if f"{prefix}byteorder" in names:
        yield Record(prefix + ID, Blank(ID_SIZE))
