"""The stream that torch.save wrote before 1.6: five pickles, then the storages one after the other.

    magic number, protocol version, sys_info, the object, the list of storage keys;
    then for each key, in the order of that list, the number of its elements (i64, little-endian) and its bytes

(`torch/serialization.py`, `_legacy_save` and `_legacy_load`.) The size of an element is known only from the storage class in
the key's persistent id. Several such streams may follow one another in one file.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import CutError, FormatError
from ptzip.formats.container import PICKLE_NOTE, TRAILING_NOTE, Member, Part, broken, stored_in
from ptzip.formats.signatures import LEGACY_MAGIC_END, has_legacy_magic
from ptzip.formats.torchzip import fresh_records
from ptzip.io.payloads import BytesPayload, Payload, SequentialFile, SourcePayload
from ptzip.io.sources import Source
from ptzip.io.streams import Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node, Pickle, item_slots, text
from ptzip.pickling.reader import raise_limit, read_seen
from ptzip.tensors.references import StorageRefs, storage_refs
from ptzip.zip.writer import ALIGNMENT, Record

PICKLES = ("magic number", "protocol version", "sys_info", "object", "storage keys")
OBJECT, KEYS = 3, 4
COUNT = struct.Struct("<q")

SEVERAL = "this file holds several objects one after the other, and a slim file holds one"

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPE_SIZES = {"short": 2, "int": 4, "long": 4}
"""What torch writes on every machine (`torch/serialization.py`, `_legacy_save`)."""

PickleReader = Callable[[str, Stream, int], Pickle]
"""Reads the pickle of a name at an offset, also one that breaks off."""


class Legacy:
    """One or several such streams; the pickles were read, and the count in front of each storage."""

    def __init__(self, parts: tuple[Part, ...], members: tuple[Member, ...]) -> None:
        self.parts = parts
        self.members = members

    name = "legacy torch.save stream"
    alignment = ALIGNMENT

    @property
    def refusal(self) -> str:
        return SEVERAL if len(self.parts) > 1 else ""

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """A torch zip, which every torch since 1.6 reads."""
        return fresh_records(pickle, storages)


def read(source: Source, limits: Limits, read_at: PickleReader | None = None) -> Legacy:
    """Open all streams of a file, whose pickles `read_at` reads, by default within `limits`.

    Raises FormatError where the first is cut off or contradicts itself.
    """
    read_one = read_at or (lambda _, stream, at: read_seen(stream, at, limits))
    stream = source.whole()
    parts, members, at = list[Part](), list[Member](), 0
    while at < len(stream) and (not parts or has_legacy_magic(stream[at : at + LEGACY_MAGIC_END])):
        label = f"object {len(parts) + 1} " if parts else ""
        part, found, at = _read_one(source, stream, at, label, read_one)
        parts.append(part)
        members += found
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, TRAILING_NOTE))
    return Legacy(tuple(parts), tuple(members))


def _read_one(source: Source, stream: Stream, at: int, label: str, read_at: PickleReader) -> tuple[Part, list[Member], int]:
    pickles, members = list[Pickle](), list[Member]()
    for name in PICKLES:
        pickle = read_at(label + name, stream, at)
        raise_limit(pickle)
        if pickle.root is None:
            raise broken(f"the {name} of the legacy stream", pickle)
        members.append(Member(label + name, at, pickle.end - at, PICKLE_NOTE))
        pickles.append(pickle)
        at = pickle.end
    payloads = _storages(storage_refs(pickles[OBJECT].persistents), pickles[KEYS], source, at)
    members += [Member(f"{label}storage {key}", one.offset, one.length) for key, one in payloads.items()]
    end = max((one.offset + one.length for one in payloads.values()), default=at)
    return Part(f"{label}pickle", pickles[OBJECT], stored_in(payloads), source=source), members, end


def _storages(known: dict[str, StorageRefs], keys: Pickle, source: Source, at: int) -> dict[str, SourcePayload]:
    """The bytes of each storage, in the order of the list of keys."""
    found: dict[str, SourcePayload] = {}
    for key in _listed(known, keys):
        (count,) = COUNT.unpack(source.read(at, COUNT.size))
        size = count * known[key].dtype.size
        at += COUNT.size
        if not 0 <= size <= source.size - at:
            raise CutError(f"storage {key} is cut off: expected {size} bytes, found {source.size - at}", at)
        found[key] = SourcePayload(source, at, size)
        at += size
    return found


def _listed(known: dict[str, StorageRefs], keys: Pickle) -> Iterator[str]:
    """The keys of the storages, in the order in which they follow."""
    for slot in item_slots(keys.root) if keys.root else ():
        if (key := text(slot.node)) is None:
            raise FormatError("the list of storage keys holds something other than text", slot.node.offset)
        if key not in known:
            raise FormatError(f"storage {key} is listed, but the pickle does not refer to it", keys.end)
        yield key


class Remains(NamedTuple):
    """The first object of a file that was cut off, the bytes of its complete storages by key, and how many bytes are missing:
    exactly, or at least so many."""

    part: Part
    storages: dict[str, SourcePayload]
    missing: int
    is_exact: bool


def read_cut(source: Source, limits: Limits) -> Remains:
    """Open the first object of a file that was cut off somewhere after it.

    Raises FormatError where the object itself is not complete, or the file contradicts itself.
    """
    stream, pickles, at = source.whole(), list[Pickle](), 0
    for name in PICKLES:
        pickles.append(read_seen(stream, at, limits))
        raise_limit(pickles[-1])
        if pickles[-1].root is None and name != PICKLES[KEYS]:
            raise broken(f"the {name} of the legacy stream", pickles[-1])
        at = pickles[-1].end
    known, is_listed = storage_refs(pickles[OBJECT].persistents), pickles[KEYS].root is not None
    found, at = dict[str, SourcePayload](), at if is_listed else source.size
    for key in _listed(known, pickles[KEYS]) if is_listed else known:
        start, size = at + COUNT.size, known[key].size
        if start + size <= source.size:
            if COUNT.unpack(source.read(at, COUNT.size))[0] * known[key].dtype.size != size:
                raise FormatError(f"storage {key} is not as long as the pickle says", at)
            found[key] = SourcePayload(source, start, size)
        at = start + size
    return Remains(Part("pickle", pickles[OBJECT], stored_in(found), source=source), found, max(at - source.size, 0), is_listed)


def stream(pickle: bytes, storages: Sequence[Payload], items: Sequence[int]) -> SequentialFile:
    """The whole file as `_legacy_save` writes it, storages under keys "0", "1", …; `items` are the bytes of their elements."""
    from ptzip.pickling.new_nodes import atom, new_dict, new_list  # reading does without the three
    from ptzip.pickling.writer import write_pickle

    def pickled(root: Node) -> bytes:
        return write_pickle(Pickle(root, protocol=2))

    def as_dict(entries: dict[str, Node]) -> Node:
        return new_dict([one for name, value in entries.items() for one in (atom(name), value)])

    names = new_list([atom(str(index)) for index in range(len(storages))])
    sizes = as_dict({name: atom(size) for name, size in TYPE_SIZES.items()})
    system = as_dict({"protocol_version": atom(PROTOCOL), "little_endian": atom(True), "type_sizes": sizes})
    pickles = [pickled(atom(MAGIC)), pickled(atom(PROTOCOL)), pickled(system), pickle, pickled(names)]
    parts: list[Payload] = [BytesPayload(data) for data in pickles]
    for payload, item in zip(storages, items, strict=True):
        parts += [BytesPayload(COUNT.pack(payload.length // item)), payload]
    return SequentialFile(parts)
