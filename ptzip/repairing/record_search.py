"""Which place a record is at: the one whose bytes have a CRC that was recorded for them, and that is called so.

Rule: what counts as whole has a CRC, and a name that two witnesses give, or one gives and no other can be right about
another: a flipped bit in a name must not let one tensor stand for another.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ptzip.errors import PtzipError
from ptzip.io.crc32 import crc32
from ptzip.io.payloads import BytesPayload, InflatedPayload, Payload, SourcePayload
from ptzip.io.sources import Source
from ptzip.repairing.candidates import Form, Place, Places
from ptzip.zip import structs
from ptzip.zip.header_search import read_some
from ptzip.zip.structs import DEFLATED, FULL32, STORED

WITNESSES = 2
"""So many have to give a name."""

NOWHERE = -1


class State(Enum):
    """What is known of a record's bytes."""

    WHOLE, DAMAGED, UNVERIFIABLE = "whole", "damaged", "unverifiable"


class Found(NamedTuple):
    """A record: its bytes, where they begin, and what is known of them."""

    payload: Payload
    at: int
    state: State


IsOwn = Callable[[str, Place, set[str], set[str]], bool]
"""Whether a name is that of a place, told with all names that are looked for and those that were found."""

EMPTY = Found(BytesPayload(b""), NOWHERE, State.WHOLE)


class Search:
    """A search through the places of a file; no bytes are read for their CRC twice."""

    def __init__(self, source: Source, places: Places) -> None:
        self.source = source
        self.places = places
        self._crcs: dict[tuple[int, Form], int | None] = {}
        self._called: dict[str, list[int]] = {}
        self._listed: dict[int, set[int]] = {}
        for at, place in places.items():
            for name in {said.lower() for said in place.names.values()}:
                self._called.setdefault(name, []).append(at)
            for crc in place.listed:
                self._listed.setdefault(crc, set()).add(at)

    def all(self, wanted: Mapping[str, int | None]) -> dict[str, Found]:
        """The records that are there, of `wanted` sizes by name; None is a size that nobody knows."""
        found = {name: EMPTY for name, size in wanted.items() if size == 0}
        names = {name.lower() for name in wanted}
        for is_own in (self._is_sure, self._is_left):
            taken = {name.lower() for name in found}
            for name, size in wanted.items():
                if name not in found and (hit := self._verified(name, size, names, taken, is_own)):
                    found[name] = hit
        left = ((name, size) for name, size in wanted.items() if name not in found)
        rest = ((name, self._other_length(name) or self._unverified(name, size)) for name, size in left)
        return found | {name: hit for name, hit in rest if hit is not None}

    def called(self, name: str) -> list[int]:
        """The places that some witness calls so, first those that most do."""
        return sorted(self._called.get(name.lower(), []), key=lambda at: -self.places[at].votes(name))

    def _verified(self, name: str, size: int | None, names: set[str], taken: set[str], is_own: IsOwn) -> Found | None:
        """The record at the first place whose bytes have their CRC, if the name is its own."""
        for at in self.called(name):
            if is_own(name, self.places[at], names, taken):
                for form in self._forms(at, size):
                    if self._is_right(at, form):
                        return Found(self._payload(at, form, name), at, State.WHOLE)  # type: ignore[arg-type]
        return None

    @staticmethod
    def _is_sure(name: str, place: Place, names: set[str], _: set[str]) -> bool:
        votes = place.votes(name)
        return votes >= WITNESSES and all(place.votes(other) < votes for other in names & place.called - {name.lower()})

    @staticmethod
    def _is_left(name: str, place: Place, names: set[str], taken: set[str]) -> bool:
        """Whether the witnesses disagree, and what others say is the name of no record or of one that was found."""
        others = place.called - {name.lower()}
        return bool(others) and names & others <= taken

    def _other_length(self, name: str) -> Found | None:
        """A record that is whole, but not as long as it should be."""
        for at in self.called(name):
            if self.places[at].votes(name) >= WITNESSES:
                for form in self._forms(at, None):
                    if self._is_right(at, form):
                        return Found(self._payload(at, form, name), at, State.DAMAGED)  # type: ignore[arg-type]
        return None

    def _unverified(self, name: str, size: int | None) -> Found | None:
        """The bytes at the place that most call so."""
        for at in self.called(name):
            for form in self._forms(at, size):
                payload = self._payload(at, form, name)
                if payload is not None and payload.length and (form.method == STORED or self._crc(at, form) is not None):
                    is_wrong = any(self.places[at].crcs) and not self._is_right(at, form)
                    return Found(payload, at, State.DAMAGED if is_wrong else State.UNVERIFIABLE)
        return None

    def _forms(self, at: int, size: int | None) -> Iterator[Form]:
        """The forms that the data at a place may have, if they are of a size; stored, where nobody says that they are."""
        told = [form for form in self.places[at].forms if size is None or form.size == size]
        yield from told
        is_packed = any(form.method != STORED for form in told)
        if size is not None and not is_packed and Form(size, size) not in told:
            yield Form(size, size)

    def _is_right(self, at: int, form: Form) -> bool:
        """Whether the bytes have a CRC that is recorded for them; 0 is what some savers write who compute none."""
        crc = self._crc(at, form)
        if not crc or self._is_of_another(at, crc):
            return False
        return crc in self.places[at].crcs or crc == self._behind(at, form.length)

    def _is_of_another(self, at: int, crc: int) -> bool:
        """Whether the directory says of these bytes that they belong elsewhere, and of this place that others do."""
        own = self.places[at].listed - {0}
        return bool(own) and crc not in own and bool(self._listed.get(crc, set()) - {at})

    def _behind(self, at: int, length: int) -> int | None:
        """The CRC of a descriptor behind the data, of which the signature or the length may be wrong, but not both."""
        found = read_some(self.source, at + length, structs.DESCRIPTOR_SIZE)
        if found is None:
            return None
        said = structs.numbers(structs.Descriptor, found)  # of a wide one the lower half of the length
        is_one = found.startswith(structs.DESCRIPTOR_SIGNATURE) or said["compressed_size"] == length & FULL32
        return said["crc"] if is_one else None

    def _crc(self, at: int, form: Form) -> int | None:
        if (at, form) not in self._crcs:
            self._crcs[at, form] = self._computed(at, form)
        return self._crcs[at, form]

    def _computed(self, at: int, form: Form) -> int | None:
        payload, crc = self._payload(at, form, "this"), 0
        if payload is None:
            return None
        try:
            for chunk in payload.chunks(0, payload.length):
                crc = crc32(chunk, crc)
        except PtzipError:
            return None
        return crc

    def _payload(self, at: int, form: Form, name: str) -> Payload | None:
        """The bytes at a place, or None where they cannot be of that form."""
        if at + form.length > self.source.size:
            return None
        stored = SourcePayload(self.source, at, form.length)
        if form.method == DEFLATED:
            return InflatedPayload(stored, form.size, name)
        return stored if form.method == STORED and form.length == form.size else None
