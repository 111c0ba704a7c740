"""The tar that torch 0.1 wrote: members `storages`, `tensors` and `pickle` (`torch/serialization.py`, `legacy_load`).

    storages: a count; for each storage a pickle of (key, location, class), its elements (i64) and its bytes; then a pickle
              of the views, a list of (key, key of the storage it is a part of, offset, elements)
    tensors:  a count; for each tensor a pickle of (key, storage key, class), its dimensions (i32), 4 unused bytes, its
              sizes, its strides and its offset (i64 each)
    pickle:   the object, whose persistent ids are keys of tensors, or tuples around a class

The standard library lists the members; their bytes are then read from the file directly.
"""

import struct
from collections.abc import Callable, Iterator

from ptzip.errors import FormatError, LimitError
from ptzip.formats.container import Member, NamedTensor, Part, ReadOnly, stored_in
from ptzip.io.payloads import Payload, SlicePayload, SourcePayload, read_all
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


class Tar(ReadOnly):
    """One such tar."""

    name = "tar of torch 0.1"
    refusal = "this is a tar of torch 0.1: its tensors are no part of the pickle, so it cannot be slimmed"

    def __init__(self, parts: tuple[Part, ...], members: tuple[Member, ...]) -> None:
        self.parts = parts
        self.members = members


class _Reader:
    """Reads one member, item by item; `observe` gets every pickle, also one that breaks off or crosses a limit."""

    def __init__(self, source: Source, stream: Stream, member: Member, limits: Limits, observe: Observer) -> None:
        self.source = source
        self.stream = stream
        self.at, self.end = member.offset, member.offset + member.size
        self.limits = limits
        self.observe = observe

    def pickle(self) -> Pickle:
        pickle = read_seen(self.stream, self.at, self.limits)
        self.observe(pickle)
        raise_limit(pickle)
        return pickle

    def node(self) -> Node:
        pickle = self.pickle()
        if pickle.root is None or pickle.end > self.end:
            raise FormatError("a pickle in the tar breaks off, or extends past its member", self.at)
        self.at = pickle.end
        return pickle.root

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, read_all(self.payload(struct.calcsize(layout))))

    def payload(self, size: int) -> SourcePayload:
        if not 0 <= size <= self.end - self.at:
            raise FormatError(f"a member of the tar ends early: expected {size} bytes, found {self.end - self.at}", self.at)
        found = SourcePayload(self.source, self.at, size)
        self.at += size
        return found

    def count(self) -> int:
        node = self.node()
        count = node.value if isinstance(node, Atom) else None
        if not isinstance(count, int) or not 0 <= count <= self.end - self.at:
            raise FormatError("a list in the tar does not begin with its length", self.at)
        return count


def read(source: Source, limits: Limits, observe: Observer = lambda _: None) -> Tar:
    """Open the tar; `observe` gets each pickle in it. Raises FormatError where it is cut off or not one of torch."""
    found = {member.name.removeprefix("./"): member for member in members(source) if not member.note}
    for name in NEEDED:
        if name not in found:
            raise FormatError(f"this is a tar, but not one of torch 0.1: it has no member {name}")
    stream = source.whole()
    readers = {name: _Reader(source, stream, found[name], limits, observe) for name in NEEDED}
    payloads, dtypes = _read_storages(readers["storages"])
    tensors = dict(_read_tensors(readers["tensors"], dtypes))
    part = Part("member pickle", readers["pickle"].pickle(), stored_in(payloads), tensors=tensors)
    return Tar((part,), tuple(found.values()))


def members(source: Source) -> list[Member]:
    """All members in their order, links with a note that says so. Raises FormatError."""
    import tarfile  # few files are tars

    try:
        with tarfile.open(fileobj=SourceFile(source), mode="r:") as archive:
            infos = archive.getmembers()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise FormatError(f"this is a tar that cannot be read: {error}") from error
    except RecursionError as error:  # tarfile recurses for each header of a long name
        raise LimitError("the tar has too many headers for one long name") from error
    return [
        Member(info.name, info.offset_data, info.size, f"link to {info.linkname}" if info.issym() or info.islnk() else "")
        for info in infos
        if not info.isdir()
    ]


def _read_storages(reader: _Reader) -> tuple[dict[str, Payload], dict[str, DType]]:
    """The bytes and the dtype of every storage by key."""
    payloads, dtypes = dict[str, Payload](), dict[str, DType]()
    for _ in range(reader.count()):
        key, _location, kind = _fields(reader.node(), 3)
        dtype = STORAGE_CLASSES.get(kind)
        if dtype is None:
            raise FormatError(f"storage {key} has the class {kind}, which is not a storage class of torch", reader.at)
        (elements,) = reader.numbers("<q")
        payloads[key], dtypes[key] = reader.payload(elements * dtype.size), dtype
    for slot in item_slots(reader.node()):
        key, base, start, length = _fields(slot.node, 4)
        if not (start.isdecimal() and length.isdecimal()):
            raise FormatError(f"storage {key} is a view of another from {start}, expected two numbers", reader.at)
        if base not in payloads:
            raise FormatError(f"storage {key} is a view of storage {base}, which is missing", reader.at)
        dtypes[key] = dtype = dtypes[base]
        first, size = int(start) * dtype.size, int(length) * dtype.size
        if first + size > payloads[base].length:
            message = f"storage {key} is bytes {first} to {first + size} of storage {base}, which has {payloads[base].length}"
            raise FormatError(message, reader.at)
        payloads[key] = SlicePayload(payloads[base], first, size)
    return payloads, dtypes


def _read_tensors(reader: _Reader, dtypes: dict[str, DType]) -> Iterator[tuple[str, NamedTensor]]:
    for _ in range(reader.count()):
        key, storage, kind = _fields(reader.node(), 3)
        (dimensions, _unused) = reader.numbers("<ii")
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise FormatError(f"tensor {key} has {dimensions} dimensions", reader.at)
        numbers = reader.numbers(f"<{2 * dimensions + 1}q")
        dtype = dtypes.get(storage) or OLD_TENSOR_CLASSES.get(kind)
        if dtype is None:
            raise FormatError(f"tensor {key} has the unknown class {kind}, and its storage {storage} is missing", reader.at)
        yield key, NamedTensor(dtype, storage, numbers[-1], numbers[:dimensions], numbers[dimensions:-1])


def _fields(node: Node, count: int) -> list[str]:
    """The items of a tuple as text: keys, numbers and the names of classes."""
    items = [plain(part) for part in node.parts] if isinstance(node, Tuple) else []
    if len(items) != count:
        raise FormatError(f"a tuple in the tar has {len(items)} items, expected {count}", node.offset)
    return [item.path if isinstance(item, Global) else as_text(item.value) if isinstance(item, Atom) else "" for item in items]
