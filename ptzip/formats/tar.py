"""The tar that torch 0.1 wrote: members `storages`, `tensors` and `pickle` (`torch/serialization.py`, `legacy_load`).

    storages: a count; for each storage a pickle of (key, location, class), its elements (i64) and its bytes; then a pickle
              of the views, a list of (key, key of the storage it is a part of, offset, elements)
    tensors:  a count; for each tensor a pickle of (key, storage key, class), its dimensions (i32), 4 unused bytes, its
              sizes, its strides and its offset (i64 each)
    pickle:   the object, whose persistent ids are keys of tensors, or tuples around a class

Rule: the standard library finds the members; their bytes are then read where they lie.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ptzip.errors import FormatError, LimitError
from ptzip.formats.container import Member, NamedTensor, Part, ReadOnly
from ptzip.io.payloads import CheckedPayload, Payload, SlicePayload, SourcePayload, read_all
from ptzip.io.sources import Source, SourceFile, Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Global, Node, Pickle, Tuple, item_slots, plain
from ptzip.pickling.reader import raise_limit, read_seen
from ptzip.tensors.dtypes import DType
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, STORAGE_CLASSES
from ptzip.text import as_text

NEEDED = ("storages", "tensors", "pickle")
MOST_DIMENSIONS = 64

Observer = Callable[[Pickle], None]


@dataclass(frozen=True)
class Tar(ReadOnly):
    """One such tar, opened."""

    parts: tuple[Part, ...]
    members: tuple[Member, ...]

    name = "tar of torch 0.1"
    refusal = "this is a tar of torch 0.1: its tensors are no part of the pickle, so it cannot be slimmed"


@dataclass
class _Reader:
    """A place in the file that moves on; `end` is where the member ends."""

    source: Source
    stream: Stream
    at: int
    end: int
    limits: Limits
    observe: Observer

    def pickle(self) -> Pickle:
        """The pickle that is here; whoever observes is told of it even where a limit was crossed."""
        pickle = read_seen(self.stream, self.at, self.limits)
        self.observe(pickle)
        raise_limit(pickle)
        return pickle

    def node(self) -> Node:
        pickle = self.pickle()
        if pickle.root is None or pickle.end > self.end:
            raise FormatError("a pickle in the tar is broken or reaches past its member", self.at)
        self.at = pickle.end
        return pickle.root

    def numbers(self, layout: str) -> tuple[int, ...]:
        found = struct.Struct(layout)
        return found.unpack(read_all(self.span(found.size)))

    def span(self, size: int) -> SourcePayload:
        if not 0 <= size <= self.end - self.at:
            raise FormatError(f"{size} bytes are announced in the tar, and {self.end - self.at} are left", self.at)
        found = SourcePayload(self.source, self.at, size)
        self.at += size
        return found


@dataclass
class _Storages:
    """What the member `storages` holds: bytes and dtype by key."""

    payloads: dict[str, Payload] = field(default_factory=dict)
    dtypes: dict[str, DType] = field(default_factory=dict)

    def find(self, key: str) -> CheckedPayload:
        if key not in self.payloads:
            raise FormatError(f"storage {key} is missing, but a tensor refers to it")
        return CheckedPayload(self.payloads[key], f"storage {key}", None)


def read(source: Source, limits: Limits, observe: Observer = lambda _: None) -> Tar:
    """Open the tar; `observe` is told of each pickle in it. Raises FormatError where it is cut off or none of torch."""
    found = {member.name.removeprefix("./"): member for member in members(source) if not member.note}
    for name in NEEDED:
        if name not in found:
            raise FormatError(f"this is a tar, but not one of torch 0.1: it has no member {name}")
    stream = source.whole()
    readers = {
        name: _Reader(source, stream, found[name].offset, found[name].offset + found[name].size, limits, observe)
        for name in NEEDED
    }
    stored = _read_storages(readers["storages"])
    tensors = dict(_read_tensors(readers["tensors"], stored))
    part = Part("member pickle", readers["pickle"].pickle(), stored.find, tensors=tensors)
    return Tar((part,), tuple(found.values()))


def members(source: Source) -> list[Member]:
    """All members in their order, with "link to ..." as the note of those that are no files. Raises FormatError."""
    import tarfile  # here, since few files are tars

    try:
        with tarfile.open(fileobj=SourceFile(source), mode="r:") as archive:
            infos = archive.getmembers()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise FormatError(f"this is a tar that cannot be read: {error}") from error
    except RecursionError as error:  # tarfile calls itself for each header of a long name
        raise LimitError("this is a tar of too many headers that continue one another") from error
    return [
        Member(info.name, info.offset_data, info.size, f"link to {info.linkname}" if info.issym() or info.islnk() else "")
        for info in infos
        if not info.isdir()
    ]


def _read_storages(reader: _Reader) -> _Storages:
    found = _Storages()
    for _ in range(_count(reader)):
        key, _location, kind = _fields(reader.node(), 3)
        dtype = STORAGE_CLASSES.get(kind)
        if dtype is None:
            raise FormatError(f"storage {key} is of class {kind}, which is no storage class of torch", reader.at)
        (elements,) = reader.numbers("<q")
        found.payloads[key], found.dtypes[key] = reader.span(elements * dtype.size), dtype
    for slot in item_slots(reader.node()):
        key, base, start, length = _fields(slot.node, 4)
        if not (start.isdecimal() and length.isdecimal()):
            raise FormatError(f"storage {key} is a part of another from {start}, expected two numbers", reader.at)
        if base not in found.payloads:
            raise FormatError(f"storage {key} is a part of storage {base}, which is missing", reader.at)
        found.dtypes[key] = dtype = found.dtypes[base]
        found.payloads[key] = _part(found.payloads[base], int(start) * dtype.size, int(length) * dtype.size)
    return found


def _part(payload: Payload, start: int, length: int) -> Payload:
    if not 0 <= start <= start + length <= payload.length:
        raise FormatError(f"a storage is said to be bytes {start} to {start + length} of one of {payload.length} bytes")
    return SlicePayload(payload, start, length)


def _read_tensors(reader: _Reader, stored: _Storages) -> Iterator[tuple[str, NamedTensor]]:
    for _ in range(_count(reader)):
        key, storage, kind = _fields(reader.node(), 3)
        (dimensions, _unused) = reader.numbers("<ii")
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise FormatError(f"tensor {key} has {dimensions} dimensions", reader.at)
        numbers = reader.numbers(f"<{2 * dimensions + 1}q")
        dtype = stored.dtypes.get(storage) or OLD_TENSOR_CLASSES.get(kind)
        if dtype is None:
            raise FormatError(f"tensor {key} is of class {kind} on storage {storage}, neither of which is known", reader.at)
        yield key, NamedTensor(dtype, storage, numbers[-1], numbers[:dimensions], numbers[dimensions:-1])


def _count(reader: _Reader) -> int:
    node = reader.node()
    count = node.value if isinstance(node, Atom) else None
    if not isinstance(count, int) or not 0 <= count <= reader.end - reader.at:
        raise FormatError("the tar does not begin its list with a number", reader.at)
    return count


def _fields(node: Node, count: int) -> list[str]:
    """The items of a tuple as text: keys, numbers and the names of classes."""
    items = [plain(part) for part in node.parts] if isinstance(node, Tuple) else []
    if len(items) != count:
        raise FormatError(f"a tuple in the tar has {len(items)} items, expected {count}", node.offset)
    return [item.path if isinstance(item, Global) else as_text(item.value) if isinstance(item, Atom) else "" for item in items]
