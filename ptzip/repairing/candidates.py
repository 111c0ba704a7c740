"""The offsets in a damaged zip where the data of records may begin, and the evidence for each.

Every header is a piece of evidence, and so is the layout that torch computes. Each gives a name, perhaps a length, perhaps a
CRC. Any one of them may be wrong; `record_search` decides which to follow by reading the bytes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ptzip.io.sources import Source
from ptzip.zip import structs
from ptzip.zip.header_search import FoundCentral, FoundDescriptor, FoundLocal, Headers, local_at, read_some

K = TypeVar("K")
V = TypeVar("V")


class RecordExtent(NamedTuple):
    """How many bytes are stored at an offset, how many they are once inflated, and the method of compression."""

    length: int
    size: int
    method: int = structs.STORED


@dataclass
class Candidate:
    """The evidence about the data that begin at an offset: names by piece of evidence, extents in the order found, and CRCs.

    `counts` is how many pieces give each name, in lower case since torch compares names so: a file may have any number of them.
    `listed` are the CRCs of the central directory: headers next to the data may have moved together with them.
    """

    names: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    extents: dict[RecordExtent, None] = field(default_factory=dict)
    crcs: set[int] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)

    def add(self, evidence: str, name: str, extent: RecordExtent | None = None, crc: int | None = None) -> None:
        if evidence in self.names:
            self.counts[self.names[evidence].lower()] -= 1
        self.names[evidence] = name
        self.counts[name.lower()] += 1
        if extent is not None:
            self.extents[extent] = None
        if crc is not None:
            self.crcs.add(crc)

    @property
    def all_names(self) -> set[str]:
        """All names that any evidence gives, in lower case."""
        return set(+self.counts)

    def votes(self, name: str) -> int:
        """How many pieces of evidence give a name."""
        return self.counts[name.lower()]


Candidates = dict[int, Candidate]
"""By the offset where the data begin."""

MOST_MATCHES = 4
"""Records with the same content or name that are considered; without a bound, a file could cause any number of reads."""


def candidates(source: Source, headers: Headers) -> Candidates:
    """All offsets that the headers of a file lead to, those of the directory first."""
    found: Candidates = defaultdict(Candidate)
    descriptors = _grouped((one.start, one) for one in headers.descriptors)
    by_content = _grouped(((one.crc, one.length), one.start) for one in headers.descriptors)
    by_name = _grouped((one.name, one.data) for one in headers.locals)
    for central in headers.centrals:
        extent = RecordExtent(central.length, central.size, central.method)
        for at in _data_offsets(source, central, by_content, by_name):
            found[at].add(f"directory {central.at}", central.name, extent, central.crc)
            found[at].listed.add(central.crc)
            found[at].add(f"header {central.header}", _name_in_header(source, central))
    for local in headers.locals:
        found[local.data].add(f"header {local.at}", local.name)
        for extent, crc in _extents(local, descriptors.get(local.data, [])):
            found[local.data].add(f"header {local.at}", local.name, extent, crc)
    for at, candidate in found.items():
        candidate.crcs.update(descriptor.crc for descriptor in descriptors.get(at, ()))
    return dict(found)


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """The values of some pairs by key."""
    found = defaultdict[K, list[V]](list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _data_offsets(
    source: Source, central: FoundCentral, by_content: dict[tuple[int, int], list[int]], by_name: dict[str, list[int]]
) -> Iterator[int]:
    """Where the data of a directory entry may begin: after its header, or wherever anything matches if that is not intact."""
    local = local_at(source, central.header)
    if local is not None:
        yield local.data
        if _is_intact(source, central, local):
            return
    yield central.header + central.heading
    yield from by_content.get((central.crc, central.length), [])[:MOST_MATCHES]
    yield from by_name.get(central.name, [])[:MOST_MATCHES]


def _is_intact(source: Source, central: FoundCentral, local: FoundLocal) -> bool:
    """Whether an entry and its local header agree, and the data end where another header begins."""
    signature = read_some(source, central.header, len(structs.LOCAL_SIGNATURE))
    following = read_some(source, local.data + central.length, 2)
    return signature == structs.LOCAL_SIGNATURE and local.name == central.name and following == structs.LOCAL_SIGNATURE[:2]


def _name_in_header(source: Source, central: FoundCentral) -> str:
    """The name in the local header of an entry, assumed to be as long as the entry's own, since the length may be damaged."""
    length = len(structs.encode_name(central.name))
    return structs.decode_name(read_some(source, central.header + structs.LOCAL_SIZE, length) or b"")


def _extents(local: FoundLocal, descriptors: list[FoundDescriptor]) -> Iterator[tuple[RecordExtent, int]]:
    """The extents and CRCs that a local header gives, and the descriptors that lead back to its data."""
    if local.length is not None and local.size is not None:
        yield RecordExtent(local.length, local.size, local.method), local.crc
    for descriptor in descriptors:
        yield RecordExtent(descriptor.length, descriptor.size, local.method), descriptor.crc
