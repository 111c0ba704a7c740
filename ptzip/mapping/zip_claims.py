"""What is claimed of a zip: of each record the local header, the data and the descriptor, then the directory and its end.

A zip whose directory cannot be read is mapped by the headers that are found in it, and so is what the directory leaves out.
"""

import contextlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError
from ptzip.formats.collection import Packed
from ptzip.formats.container import Container
from ptzip.formats.torchzip import STORAGES, TorchZip, prefix_of
from ptzip.formats.zips import ARRAY, ForeignZip, Shard
from ptzip.io.sources import Source, Window
from ptzip.limits import Limits
from ptzip.mapping.claims import (
    CENTRAL,
    DESCRIPTOR,
    DESCRIPTORS,
    END,
    END64,
    FILE,
    LOCAL,
    LOCATOR64,
    PICKLE,
    RECORD,
    STORAGE,
    TRAILING,
    Claim,
    structured,
)
from ptzip.mapping.owners import Owners, offset_of, start_of, storage_claims
from ptzip.mapping.purposes import purpose
from ptzip.mapping.stream_claims import array_claims, pickle_claim
from ptzip.pickling.nodes import Pickle
from ptzip.zip import structs
from ptzip.zip.directory_problems import end_problems
from ptzip.zip.extents import descriptor_size, extents, gaps
from ptzip.zip.find_archives import find_end, zips_in_a_row
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.header_search import FoundDescriptor, FoundLocal, read_headers
from ptzip.zip.reader import Archive, Entry, read_archive

BEGINNINGS = (structs.LOCAL_SIGNATURE, structs.CENTRAL_SIGNATURE)
"""How a zip begins, or the rest of one that lost its beginning."""

METHODS = {structs.DEFLATED: "deflated"}
PICKLE_SUFFIX = ".pkl"
IN_DESCRIPTOR = "(descriptor)"
"""The last word of the name of a field that is not in a header."""

END64_HEAD = 12
"""The bytes of a zip64 end record that its size does not count (APPNOTE 4.3.14.1)."""

UNLISTED = {LOCAL: "the central directory does not list it"} | dict.fromkeys((CENTRAL, END), "no end record leads to it")
"""The remark on headers between the parts of a zip."""


class Contents(NamedTuple):
    """What the records of an opened zip hold, by the offset of their bytes in the file."""

    owners: Owners
    pickles: dict[int, Pickle]


def claims(source: Source, container: Container | None, owners: Owners, limits: Limits) -> Iterator[Claim]:
    """The claims of a zip, or of several in a row; `container` is None where the file does not open. Raises LimitError."""
    pickles = {offset_of(part.record, source): part.pickle for part in container.parts if part.record} if container else {}
    contents = Contents(owners, {at: one for at, one in pickles.items() if at is not None})
    archives = archives_of(container)
    zips, before = zips_in_a_row(source) if archives is None else ([one.source for one in archives], 0)
    if before or not zips:
        yield from _found(Window(source, 0, before or source.size))
    for number, one in enumerate(zips):
        label, start = f"zip {number + 1}: " if len(zips) > 1 else "", start_of(one, source)
        try:
            archive = archives[number] if archives else read_archive(one, limits)
        except PtzipError as error:
            found = _found(one, str(error))
        else:
            found = _archive(archive, start, label, contents, limits)
        yield from (claim.moved(start) for claim in found)


def archives_of(container: Container | None) -> list[Archive] | None:
    """The archives of a zip, or of several in a row; None where they were not opened."""
    if isinstance(container, TorchZip | ForeignZip):
        return [container.archive]
    if isinstance(container, Shard):
        found = [archives_of(one) for one in container.zips]
        return [one for archives in found for one in archives or ()] if all(found) else None
    return None


def _archive(archive: Archive, start: int, label: str, contents: Contents, limits: Limits) -> Iterator[Claim]:
    """The claims of one zip, whose first byte is byte `start` of the file."""
    prefix, at = prefix_of(archive.entries[0].name) if archive.entries else "", archive.start
    for entry in archive.entries:
        yield from _entry(entry, start, label, prefix, contents, limits)
        end = at + structs.length_of(entry.central)
        yield structured(at, end, CENTRAL, label + entry.name, _central_remark(entry))
        at = end
    yield from _ends(archive)
    for first, stop in gaps(extents(archive)):
        if archive.source.read(first, min(4, stop - first)) in BEGINNINGS:
            for claim in _found(Window(archive.source, first, stop - first)):
                yield claim.moved(first)._replace(remark=UNLISTED.get(claim.kind, claim.remark))


def _central_remark(entry: Entry) -> str:
    try:
        _ = entry.data_offset
    except FormatError as error:
        return error.message
    return ""


def _entry(entry: Entry, start: int, label: str, prefix: str, contents: Contents, limits: Limits) -> Iterator[Claim]:
    """The local header of a record, its data, and its descriptor; nothing where there is no local header."""
    try:
        data = entry.data_offset
    except FormatError:
        return
    differences, name, end = _differences(entry), label + entry.name, data + entry.compressed_size
    heads = [words for field, words in differences if not field.endswith(IN_DESCRIPTOR)]
    yield structured(entry.header_offset, data, LOCAL, name, "; ".join([*heads, *_odd_padding(entry)]))
    yield from _data(entry, start, name, entry.name[len(prefix) :].lower(), contents, limits)
    length = descriptor_length(entry)
    ends = [words for field, words in differences if field.endswith(IN_DESCRIPTOR)]
    yield _descriptor(end, length, name, "; ".join(ends))


def _differences(entry: Entry) -> list[tuple[str, str]]:
    """The fields in which the local header or the descriptor differs from the directory, with a few words on each."""
    found = list[tuple[str, str]]()
    with contextlib.suppress(FormatError):  # a descriptor without its signature
        for one in mismatches(entry):
            field = one.field.removesuffix(f" {IN_DESCRIPTOR}")
            found.append((one.field, f"{field} is {one.local}, but {one.central} in the central directory"))
    return found


def _odd_padding(entry: Entry) -> Iterator[str]:
    """What torch never writes into the padding that aligns the data."""
    padding = structs.extra_fields(entry.local.extra).get(structs.PADDING_FIELD, b"")
    if padding.strip(b"Z"):
        yield f"its padding is not Z, but {padding[:8].hex(' ')}"


def _descriptor(start: int, length: int, name: str, remark: str = "") -> Claim:
    return Claim(start, start + length, DESCRIPTOR, name, remark, DESCRIPTORS.get(length, ""))


def descriptor_length(entry: Entry) -> int:
    """The bytes of the descriptor of a record, which may lack its signature (APPNOTE 4.3.9.3); 0 where it has none."""
    length = descriptor_size(entry)
    if length or not (entry.central.flags | entry.local_flags) & structs.HAS_DESCRIPTOR:
        return length
    numbers = entry.crc, entry.compressed_size, entry.size
    for kind in (structs.Descriptor, structs.Descriptor64):
        bare = structs.build(kind(*numbers))[4:] if kind is structs.Descriptor64 or max(numbers) <= structs.FULL32 else b""
        if bare and entry.after.startswith(bare):
            return len(bare)
    return 0


def _data(entry: Entry, start: int, name: str, record: str, contents: Contents, limits: Limits) -> Iterator[Claim]:
    """The data of a record; `record` is its name within the archive."""
    at, size = entry.data_offset, entry.compressed_size
    pickle, owner = contents.pickles.get(start + at), contents.owners.get(start + at)
    if how := _how_packed(entry):
        kind = STORAGE if owner else PICKLE if pickle else _kind(record)
        yield Claim(at, at + size, kind, name, how, users=tuple(owner.names) if owner else purpose(record))
    elif pickle is not None:
        yield from _pickle(pickle, name, record, at, size)
    elif owner is not None or _kind(record) == STORAGE:
        yield from (claim.moved(-start) for claim in storage_claims(start + at, size, name, contents.owners))
    else:
        yield from _file(entry, name, record, limits)


def _how_packed(entry: Entry) -> str:
    """How the data of a record differ from its content: "encrypted", or how they are compressed; "" where they do not."""
    how = METHODS.get(entry.method, f"compressed by method {entry.method}")
    packed = "" if entry.method == structs.STORED else f"{how}: {entry.size:,} bytes unpacked"
    return ", ".join(filter(None, ("encrypted" if entry.central.flags & structs.ENCRYPTED else "", packed)))


def _pickle(pickle: Pickle, name: str, record: str, at: int, size: int) -> Iterator[Claim]:
    """A record that is a pickle, and what follows its STOP."""
    claim = pickle_claim(pickle, name, at)._replace(users=purpose(record))
    yield claim if pickle.root is not None else claim._replace(stop=at + size)
    if pickle.root is not None:
        yield Claim(claim.stop, at + size, TRAILING, name, "no loader reads them")


def _file(entry: Entry, name: str, record: str, limits: Limits) -> Iterator[Claim]:
    """Any other record, also where it is a file of its own."""
    at, size = entry.data_offset, entry.compressed_size
    window = Window(entry.source, at, max(min(size, entry.source.size - at), 0))
    is_file = size and Packed(window, window.size).is_checkpoint()
    remark = "a checkpoint, mapped as FILE::NAME" if is_file else ""
    yield Claim(at, at + size, FILE if is_file else _kind(record), name, remark, users=purpose(record))
    if record.endswith(ARRAY):
        with contextlib.suppress(FormatError):
            yield from (claim.moved(at) for claim in array_claims(window, limits, name))


def _kind(record: str) -> str:
    """What a record of a name is, as far as that says."""
    is_storage = record.startswith(STORAGES) and record != STORAGES
    return PICKLE if record.endswith(PICKLE_SUFFIX) else STORAGE if is_storage else RECORD


def _ends(archive: Archive) -> Iterator[Claim]:
    """The end records, with what is wrong with them."""
    at, end64 = archive.end_offset, archive.end64
    problems = [problem.message for problem in end_problems(archive)]
    if end64 is not None:
        locator = at - structs.LOCATOR64_SIZE
        start = structs.read(structs.Locator64, archive.source, locator).offset
        yield structured(start, start + END64_HEAD + end64.record_size, END64)
        yield structured(locator, at, LOCATOR64)
    yield structured(at, at + structs.length_of(archive.end), END, remark="; ".join(problems))


def _found(source: Source, fault: str = "") -> Iterator[Claim]:
    """The claims of the headers that are found in a zip whose directory cannot be read, because of some `fault`.

    Raises LimitError where there are too many.
    """
    headers, end = read_headers(source), find_end(source)
    ends = {one.start: one for one in headers.descriptors}
    starts = [local.at for local in headers.locals] + [central.at for central in headers.centrals]
    stops, after = sorted([*starts, source.size if end is None else end]), 0
    for local in headers.locals:
        for claim in _found_record(source, local, ends.get(local.data), stops):
            yield claim
            after = claim.stop
    for central in headers.centrals:
        after = central.at + structs.length_of(structs.read(structs.CentralEntry, source, central.at))
        yield structured(central.at, after, CENTRAL, central.name)
    for at in dict.fromkeys((after, *([] if end is None else [end]))):
        yield from _tail(source, at, fault)


def _tail(source: Source, at: int, fault: str) -> Iterator[Claim]:
    """The end records from an offset on, and an entry before them that is cut off."""
    while kind := TAILS.get(source.read(at, max(min(4, source.size - at), 0))):
        layout = structs.LAYOUTS[kind]
        head = source.read(at, min(layout.size, source.size - at))
        end = at + layout.size + (sum(structs.lengths(kind, head)) if len(head) == layout.size else 0)
        yield structured(at, end, layout.label, remark=fault if kind is structs.End else "")
        at = end


TAILS: dict[bytes, type[structs.Structure]] = {
    structs.LAYOUTS[kind].signature: kind for kind in (structs.CentralEntry, structs.End64, structs.Locator64, structs.End)
}
"""What follows the records of a zip, by its signature."""


def _found_record(
    source: Source, local: FoundLocal, descriptor: FoundDescriptor | None, stops: Sequence[int]
) -> Iterator[Claim]:
    """A record by its local header; without another sign, its data end where the next header begins."""
    kind, remark = _kind(local.name.partition("/")[2].lower() or local.name), ""
    stop = descriptor.at if descriptor else None if local.length is None else local.data + local.length
    if stop is None:
        stop = stops[bisect_left(stops, local.data)] if local.data <= stops[-1] else source.size
        remark = "its length is not known: up to the next header"
    yield structured(local.at, local.data, LOCAL, local.name)
    yield Claim(local.data, stop, kind, local.name, remark)
    if descriptor:
        numbers = descriptor.crc, descriptor.length, descriptor.size
        is_narrow = structs.read(structs.Descriptor, source, stop) == numbers
        size = structs.DESCRIPTOR_SIZE if is_narrow else structs.DESCRIPTOR64_SIZE
        yield _descriptor(stop, size, local.name)
