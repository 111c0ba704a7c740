"""The stream that torch.save wrote before 1.6: five pickles, then the storages one after the other.

    magic number, protocol version, sys_info, the object, the list of storage keys;
    then for each key, in the order of that list, the number of its elements (i64, little-endian) and its bytes

(`torch/serialization.py`, `_legacy_save` and `_legacy_load`.) Rule: the bytes have no length of their own; how many follow
a count is told by the class in the key's persistent id. Several such streams may follow one another in one file.
"""

import struct
from collections.abc import Callable, Iterator

from ptzip.errors import CutError, FormatError
from ptzip.formats.container import Member, Part, broken
from ptzip.formats.signatures import LEGACY_MAGIC_END, has_legacy_magic
from ptzip.formats.torchzip import fresh_records
from ptzip.io.payloads import CheckedPayload, Payload, SourcePayload
from ptzip.io.sources import Source, Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Pickle, item_slots, text
from ptzip.pickling.reader import raise_limit, read_seen
from ptzip.tensors.references import StorageRefs, storage_refs
from ptzip.zip.writer import ALIGNMENT, Record

PICKLES = ("magic number", "protocol version", "sys_info", "object", "storage keys")
OBJECT, KEYS = 3, 4
COUNT = struct.Struct("<q")

SEVERAL = "this file holds several objects one after the other, and a slim file holds one"

Observer = Callable[[str, Pickle], None]


class Legacy:
    """One or several such streams, opened: the pickles were read, and the count in front of each storage."""

    def __init__(self, parts: tuple[Part, ...], members: tuple[Member, ...]) -> None:
        self.parts = parts
        self.members = members

    name = "legacy torch.save stream"
    alignment = ALIGNMENT

    @property
    def refusal(self) -> str:
        return SEVERAL if len(self.parts) > 1 else ""

    def rewritten(self, pickle: bytes, storages: list[Payload]) -> list[Record]:
        """A torch zip: the legacy stream has no place for what later loaders ask for."""
        return fresh_records(pickle, storages)


def read(source: Source, limits: Limits, observe: Observer = lambda _, __: None) -> Legacy:
    """Open all streams of a file; `observe` is told of each pickle and its name.

    Raises FormatError where the first is cut off or contradicts itself.
    """
    stream = source.whole()
    parts, members, at = list[Part](), list[Member](), 0
    while at < len(stream) and (not parts or has_legacy_magic(stream[at : at + LEGACY_MAGIC_END])):
        label = f"object {len(parts) + 1} " if parts else ""
        part, found, at = _read_one(source, stream, at, limits, label, observe)
        parts.append(part)
        members += found
    if at < len(stream):
        members.append(Member("trailing bytes", at, len(stream) - at, "behind the last storage"))
    return Legacy(tuple(parts), tuple(members))


def _read_one(
    source: Source, stream: Stream, at: int, limits: Limits, label: str, observe: Observer
) -> tuple[Part, list[Member], int]:
    pickles, members = list[Pickle](), list[Member]()
    for name in PICKLES:
        pickle = read_seen(stream, at, limits)
        observe(label + name, pickle)
        raise_limit(pickle)
        if pickle.root is None:
            raise broken(f"the {name} of the legacy stream", pickle)
        members.append(Member(label + name, at, pickle.end - at, "pickle"))
        pickles.append(pickle)
        at = pickle.end
    places = _places(storage_refs(pickles[OBJECT].persistents), _keys(pickles[KEYS]), source, at)
    members += [Member(f"{label}storage {key}", span.offset, span.length) for key, span in places.items()]
    end = max((span.offset + span.length for span in places.values()), default=at)
    return Part(f"{label}pickle", pickles[OBJECT], finder(places)), members, end


def _keys(pickle: Pickle) -> Iterator[str]:
    for slot in item_slots(pickle.root) if pickle.root else ():
        key = text(slot.node)
        if key is None:
            raise FormatError("the list of storage keys holds something other than text", slot.node.offset)
        yield key


def _places(known: dict[str, StorageRefs], keys: Iterator[str], source: Source, at: int) -> dict[str, SourcePayload]:
    """Where each storage lies."""
    places: dict[str, SourcePayload] = {}
    for key in keys:
        if key not in known:
            raise FormatError(f"storage {key} is listed, but the pickle does not refer to it", at)
        (count,) = COUNT.unpack(source.read(at, COUNT.size))
        size = count * known[key].dtype.size
        at += COUNT.size
        if not 0 <= size <= source.size - at:
            raise CutError(f"storage {key} is cut off: it has {size} bytes, and {source.size - at} are left", at)
        places[key] = SourcePayload(source, at, size)
        at += size
    return places


def finder(places: dict[str, SourcePayload]) -> Callable[[str], CheckedPayload]:
    """`Part.stored` of storages without a checksum."""

    def find(key: str) -> CheckedPayload:
        if key not in places:
            raise FormatError(f"storage {key} is missing, but the pickle refers to it")
        return CheckedPayload(places[key], f"storage {key}", None)

    return find
