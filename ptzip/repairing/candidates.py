"""Where records may lie, and what speaks for it: each header is a witness, and so is the layout that torch computes.

Rule: a place is where data begin. What a witness says of it is a name, perhaps a length, perhaps a CRC; one witness may be
wrong, so which of them is right is decided by `found`, with the bytes at hand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ptzip.io.sources import Source
from ptzip.zip import structs
from ptzip.zip.header_search import FoundCentral, FoundDescriptor, FoundLocal, Headers, local_at, read_some
from ptzip.zip.structs import STORED, decode_name


class Form(NamedTuple):
    """How many bytes lie at a place, and how many they are once they are inflated."""

    length: int
    size: int
    method: int = STORED


@dataclass
class Place:
    """What was said of the data that begin at a byte: the forms and CRCs by the first who said so, names by witness.

    `listed` are the CRCs of the directory: what stands beside the data may have been moved with them.
    """

    names: dict[str, str] = field(default_factory=dict)
    forms: dict[Form, None] = field(default_factory=dict)
    crcs: set[int] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)

    def say(self, witness: str, name: str, form: Form | None = None, crc: int | None = None) -> None:
        self.names[witness] = name
        if form is not None:
            self.forms[form] = None
        if crc is not None:
            self.crcs.add(crc)

    @property
    def called(self) -> set[str]:
        """All names that it is called by, in lower case."""
        return {name.lower() for name in self.names.values()}

    def votes(self, name: str) -> int:
        """How many witnesses call it by a name; case does not matter, as for torch."""
        return sum(said.lower() == name.lower() for said in self.names.values())


Places = dict[int, Place]

MOST_CLUES = 4
"""So many records of one content or one name are looked at, or a file could ask for any number of readings."""


def places(source: Source, headers: Headers) -> Places:
    """All places that the headers of a file lead to, those of the directory first."""
    found: Places = {}
    ends, clues = _by_start(headers.descriptors), _clues(headers)
    for central in headers.centrals:
        for at in _data_of(source, central, clues):
            form = Form(central.length, central.size, central.method)
            place = found.setdefault(at, Place())
            place.say(f"directory {central.at}", central.name, form, central.crc)
            place.listed.add(central.crc)
            place.say(f"header {central.header}", _name_at(source, central))
    for local in headers.locals:
        place = found.setdefault(local.data, Place())
        place.say(f"header {local.at}", local.name)
        for form, crc in _forms(local, ends.get(local.data, [])):
            place.say(f"header {local.at}", local.name, form, crc)
    for at, place in found.items():
        place.crcs.update(descriptor.crc for descriptor in ends.get(at, ()))
    return found


def _by_start(descriptors: tuple[FoundDescriptor, ...]) -> Mapping[int, list[FoundDescriptor]]:
    found: dict[int, list[FoundDescriptor]] = {}
    for descriptor in descriptors:
        found.setdefault(descriptor.start, []).append(descriptor)
    return found


Clues = dict[tuple[int, int] | str, list[int]]
"""Where data begin, by CRC and length and by name."""


def _clues(headers: Headers) -> Clues:
    found: Clues = {}
    for descriptor in headers.descriptors:
        found.setdefault((descriptor.crc, descriptor.length), []).append(descriptor.start)
    for local in headers.locals:
        found.setdefault(local.name, []).append(local.data)
    return found


def _data_of(source: Source, central: FoundCentral, clues: Clues) -> Iterator[int]:
    """Where the data of an entry may begin: behind its header, and if that is not as expected, wherever something fits."""
    local = local_at(source, central.header)
    if local is not None:
        yield local.data
    if local is not None and _agree(source, central, local):
        return
    yield central.header + central.heading
    yield from clues.get((central.crc, central.length), [])[:MOST_CLUES]
    yield from clues.get(central.name, [])[:MOST_CLUES]


def _agree(source: Source, central: FoundCentral, local: FoundLocal) -> bool:
    """Whether an entry and its local header are of one record that ends where another header stands."""
    head = read_some(source, central.header, len(structs.LOCAL_SIGNATURE))
    behind = read_some(source, local.data + central.length, 2)
    return head == structs.LOCAL_SIGNATURE and local.name == central.name and behind == structs.LOCAL_SIGNATURE[:2]


def _name_at(source: Source, central: FoundCentral) -> str:
    """The name in the local header of an entry, as long as the entry's own whatever that header says."""
    length = len(structs.encode_name(central.name))
    return decode_name(read_some(source, central.header + structs.LOCAL_SIZE, length) or b"")


def _forms(local: FoundLocal, ends: list[FoundDescriptor]) -> Iterator[tuple[Form, int]]:
    """What a local header or the descriptors that lead back to its data say of them."""
    if local.length is not None and local.size is not None:
        yield Form(local.length, local.size, local.method), local.crc
    for end in ends:
        yield Form(end.length, end.size, local.method), end.crc
