"""The tar that torch 0.1 wrote: members `storages`, `tensors` and `pickle` (`torch/serialization.py`, `legacy_load`).

    storages: a count; for each storage a pickle of (key, location, class), its elements (i64) and its bytes; then a pickle
              of the views, a list of (key, key of the storage it is a part of, offset, elements)
    tensors:  a count; for each tensor a pickle of (key, storage key, class), its dimensions (i32), 4 unused bytes, its
              sizes, its strides and its offset (i64 each)
    pickle:   the object, whose persistent ids are keys of tensors, or tuples around a class

The standard library lists the members; their bytes are then read from the file directly.
"""

import functools
import re
import struct
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import CutError, FormatError, LimitError
from ptzip.formats.container import Member, NamedTensor, Part, ReadOnly, stored_in
from ptzip.formats.signatures import TAR_BLOCK
from ptzip.io.payloads import Payload, SourcePayload, part_of, read_all
from ptzip.io.sources import BytesSource, Position, Source, SourceFile, Window, placed
from ptzip.io.streams import Stream
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Global, Node, Pickle, Tuple, item_slots, plain
from ptzip.pickling.reader import raise_limit, read_seen
from ptzip.tensors.dtypes import DType
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, STORAGE_CLASSES
from ptzip.text import as_text

if TYPE_CHECKING:
    import tarfile

NEEDED = ("storages", "tensors", "pickle")
MOST_DIMENSIONS = 64

ROOM, ROOM_PER_MEMBER = 1 << 18, 1 << 11
"""Bytes of headers that are read of a tar, and more of them after each member."""

LONGEST_HEADER = 1 << 14
ODD_HEADER = re.compile(rb"\d{256}|\d [^=]{512}")
"""A number or a key in an extended header that is so long that `tarfile` may need quadratic time (CVE-2024-6232)."""

MOST_SPARSE = 1 << 26
"""Bytes of all sparse members with their holes."""

BROKEN_TAR = (EOFError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What `tarfile` raises for broken headers, apart from its own errors."""

ReadAt = Callable[[str, Stream, int], Pickle]
"""Reads the pickle at an offset of a member: what it is in, the bytes, the offset."""


class TarMember(NamedTuple):
    """A member as `tarfile` extracts it: `content` is its bytes, `link` where it leads instead of having any. What follows its
    data in the file, up to byte `end`, is padding from `padding` on. `is_odd`: readers may read other bytes, here or behind.
    `info` has the headers of a member that is stored as a whole.
    """

    name: str
    content: Source
    padding: int
    end: int
    link: str = ""
    is_odd: bool = False
    info: "tarfile.TarInfo | None" = None


class Tar(ReadOnly):
    """One such tar. `rest` has the bytes inside its members that are no pickles: the storages, and what no loader reads."""

    name = "tar of torch 0.1"
    refusal = "this is a tar of torch 0.1: its tensors are no part of the pickle, so it cannot be slimmed"

    def __init__(
        self, parts: tuple[Part, ...], members: tuple[Member, ...], rest: tuple[tuple[str, bool, Source], ...]
    ) -> None:
        self.parts = parts
        self.members = members
        self.rest = rest


class _Reader:
    """Reads one member, item by item; `read_at` reads every pickle, also one that breaks off or crosses a limit."""

    def __init__(self, member: TarMember, read_at: ReadAt) -> None:
        self.name = member.name
        self.source = member.content
        self.stream = member.content.whole()
        self.at, self.end = 0, member.content.size
        self.read_at = read_at

    def pickle(self) -> Pickle:
        pickle = self.read_at(f"member {self.name}", self.stream, self.at)
        raise_limit(pickle)
        self.at = pickle.end
        return pickle

    def node(self) -> Node:
        pickle = self.pickle()
        if pickle.root is None:
            raise FormatError(f"a pickle in member {self.name} of the tar breaks off", pickle.start)
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


def is_of_torch(found: list[TarMember]) -> bool:
    """Whether there are all members that torch wrote."""
    return {*NEEDED} <= {plain_name(member) for member in found}


def plain_name(member: TarMember) -> str:
    """The name of a member without the dot of the folder that was packed."""
    return member.name.removeprefix("./")


def read(found: list[TarMember], limits: Limits) -> Tar:
    """Open the tar with these members. Raises FormatError where it is not as torch wrote it."""
    return read_members(found, lambda _, stream, at: read_seen(stream, at, limits))


def read_members(found: list[TarMember], read_at: ReadAt) -> Tar:
    """The tar with these members; of several with one name the last counts (`TarFile.getmember`). `read_at` reads each pickle.

    Raises FormatError where the members are not as torch wrote them.
    """
    named = {plain_name(member): member for member in found if not member.link}
    for name in NEEDED:
        if name not in named:
            raise FormatError(f"this is a tar, but not one of torch 0.1: it has no member {name}")
    readers = {name: _Reader(named[name], read_at) for name in NEEDED}
    with placed(readers["storages"].source):
        payloads, dtypes, data = _read_storages(readers["storages"])
    with placed(readers["tensors"].source):
        tensors = dict(_read_tensors(readers["tensors"], dtypes))
    main = readers["pickle"]
    part = Part("member pickle", main.pickle(), stored_in(payloads), tensors=tensors, source=main.source)
    storages = [(f"storage {key}", True, Window(one.source, one.offset, one.length)) for key, one in data]
    ends = [(f"member {name}", False, Window(one.source, one.at, one.end - one.at)) for name, one in readers.items()]
    listed = tuple(Member(one.name, one.padding - one.content.size, one.content.size) for one in named.values())
    return Tar((part,), listed, (*storages, *(one for one in ends if one[2].size)))


def members(source: Source) -> Iterator[TarMember]:
    """All members, as `tarfile` lists them; the name of a folder ends in a slash.

    Raises FormatError where `tarfile` fails, after the members before that. It reads headers only, and no more of them than
    honest tars have: it may take quadratic time for an extended header, and old versions read a header again and again if a
    size is negative. Raises LimitError.
    """
    import tarfile  # few files are tars

    file, start, sparse = _Headers(source), -1, MOST_SPARSE
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_header_class()) as archive:
            while info := archive.next():
                archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
                file.allow(ROOM_PER_MEMBER)
                if info.size < 0 or not start < info.offset_data <= source.size:
                    raise FormatError(f"member {info.name} of the tar has an impossible size or position", info.offset)
                start = info.offset_data
                member = _member(source, info, archive.offset, sparse)
                yield member._replace(is_odd=member.is_odd or _is_placed_by_version(source, info))
                if info.sparse is None and info.isreg() and info.offset_data + info.size > source.size:
                    missing = f"{info.offset_data + info.size - source.size:,} of {info.size:,} bytes are missing"
                    raise CutError(f"member {info.name} of the tar is cut off: {missing}", source.size)
                sparse -= info.size if info.sparse is not None else 0
    except RecursionError as error:  # tarfile recurses for each header of a long name
        raise LimitError("the tar has too many headers for one member") from error
    except (tarfile.TarError, *BROKEN_TAR) as error:
        is_cut = file.tell() >= source.size
        raise (CutError if is_cut else FormatError)(f"this is a tar that cannot be read: {error}") from error


@functools.cache
def _header_class() -> "type[tarfile.TarInfo]":
    """Headers as `tarfile` reads them, except that a negative size is an error: versions of `tarfile` go back there or stop."""
    import tarfile  # as above

    class Header(tarfile.TarInfo):
        def _block(self, count: int) -> int:
            if count < 0:
                raise FormatError(f"a header of the tar has the size {count}")
            return -(-count // TAR_BLOCK) * TAR_BLOCK

    return Header


def _is_placed_by_version(source: Source, info: "tarfile.TarInfo") -> bool:
    """Whether versions of `tarfile` look for the next header at different bytes (`TarInfo._proc_pax`).

    Where an extended header has the size, old ones add the size of the member to the offset of its data, new ones the size
    of the extended header to the end of the header that follows it.
    """
    if "size" not in info.pax_headers:
        return False
    extended = info.frombuf(source.read(info.offset, TAR_BLOCK), "utf-8", "surrogateescape")
    usual = info.offset + TAR_BLOCK + extended._block(extended.size) + TAR_BLOCK  # type: ignore[attr-defined]
    return info.offset_data != usual or info.pax_headers["size"] != str(info.size)


class _Headers(SourceFile):
    """A tar as `tarfile` reads it. Raises LimitError where it reads more than honest headers are long."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._left = ROOM

    def allow(self, size: int) -> None:
        self._left += size

    def read(self, size: int = -1) -> bytes:
        self._left -= size
        if not 0 <= size <= LONGEST_HEADER or self._left < 0:
            raise LimitError("the tar has headers that are too long")
        data = super().read(size)
        if size > TAR_BLOCK and ODD_HEADER.search(data):
            raise LimitError("the tar has a header with a number or a key that is too long")
        return data


def _member(source: Source, info: "tarfile.TarInfo", end: int, sparse: int) -> TarMember:
    """The bytes of a member, as `TarFile.makefile` writes them into a file."""
    nothing = Window(source, info.offset_data, 0)
    if info.isdir():
        return TarMember(f"{info.name}/", nothing, info.offset_data, end)
    if info.issym() or info.islnk():
        return TarMember(info.name, nothing, info.offset_data, end, link=f"link to {info.linkname}")
    if info.ischr() or info.isblk() or info.isfifo():
        return TarMember(info.name, nothing, info.offset_data, end, link="device")
    if info.sparse is None:
        size = min(info.size, source.size - info.offset_data)  # what is cut off is found by the next header, or missing
        content = Window(source, info.offset_data, size)
        return TarMember(info.name, content, info.offset_data + size, end, is_odd=size < info.size, info=info)
    return _sparse_member(source, info, end, sparse)


def _sparse_member(source: Source, info: "tarfile.TarInfo", end: int, most: int) -> TarMember:
    """A member of which only parts are stored, each with its offset. Raises LimitError if it has more than `most` bytes."""
    parts: list[tuple[int, int]] = info.sparse or []  # type: ignore[assignment]  # typeshed has bytes here
    at, last, is_odd = info.offset_data, 0, False
    if info.size > most or any(offset + size > most for offset, size in parts):
        raise LimitError(f"the sparse members of the tar have more than {MOST_SPARSE:,} bytes")
    content = bytearray(info.size)
    for offset, size in filter(itemgetter(1), parts):  # an old header has room for four parts, also if there are fewer
        is_odd = is_odd or offset < last
        if offset < 0 or size < 0 or at + size > source.size:
            raise FormatError(f"the parts of the sparse member {info.name} are not in the tar", info.offset)
        content[offset : offset + size] = source.read(at, size)
        at, last = at + size, offset + size
    is_odd = is_odd or last > info.size
    del content[info.size :]
    return TarMember(info.name, BytesSource(bytes(content), info.name, Position(0, info.name)), at, end, is_odd=is_odd)


def _read_storages(reader: _Reader) -> tuple[dict[str, Payload], dict[str, DType], list[tuple[str, SourcePayload]]]:
    """The bytes and the dtype of every storage by key, and the bytes of all that are no views, even if they share a key."""
    payloads, dtypes, data = dict[str, Payload](), dict[str, DType](), list[tuple[str, SourcePayload]]()
    for _ in range(reader.count()):
        key, _location, kind = _fields(reader.node(), 3)
        dtype = STORAGE_CLASSES.get(kind)
        if dtype is None:
            raise FormatError(f"storage {key} has the class {kind}, which is not a storage class of torch", reader.at)
        (elements,) = reader.numbers("<q")
        data.append((key, reader.payload(elements * dtype.size)))
        payloads[key], dtypes[key] = data[-1][1], dtype
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
        payloads[key] = part_of(payloads[base], first, size)
    return payloads, dtypes, data


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
