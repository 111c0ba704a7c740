"""Finds each record among the candidates: the one whose bytes match a CRC recorded for them, and whose name is certain.

A record counts as whole only with a CRC, and with a name that two pieces of evidence give, or that one gives while the others
cannot be right: a flipped bit in a name must not put one tensor in the place of another.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ptzip.errors import LimitError, PtzipError
from ptzip.io.buffers import Buffers
from ptzip.io.crc32 import crc32
from ptzip.io.payloads import BytesPayload, InflatedPayload, Payload, SourcePayload
from ptzip.io.sources import Source
from ptzip.repairing.candidates import Candidate, Candidates, RecordExtent
from ptzip.zip import structs
from ptzip.zip.header_search import read_some

ENOUGH = 2
"""Pieces of evidence that make a name certain."""

LOOK_COST, OF_A_CANDIDATE, OF_A_BYTE, OF_A_FILE = 1 << 9, 1 << 14, 16, 1 << 30
"""As how many bytes it counts to look at a name of a candidate, and how many may be read: for each candidate, for each byte of
the file, and for the file. In an honest file each candidate is one record; in another, each may be all records.
"""

NOWHERE = -1
"""The offset of an empty record that no header is left of."""


class RecordState(Enum):
    """What is known of a record's bytes."""

    WHOLE, DAMAGED, UNVERIFIABLE = "whole", "damaged", "unverifiable"


class FoundRecord(NamedTuple):
    """A record: its bytes, the offset where they begin, and what is known of them."""

    payload: Payload
    at: int
    state: RecordState


class RecordSearch:
    """A search through the candidates of a file; no bytes are read for their CRC twice.

    Raises LimitError where the headers contradict one another so often that it would take longer than the file is.
    """

    def __init__(self, source: Source, candidates: Candidates) -> None:
        self.source = source
        self._left = OF_A_FILE + OF_A_BYTE * source.size + OF_A_CANDIDATE * len(candidates)
        self.candidates = candidates
        self._buffers = Buffers()
        self._crcs: dict[tuple[int, RecordExtent], int | None] = {}
        self._by_name = defaultdict[str, list[int]](list)
        self._by_listed_crc = defaultdict[int, set[int]](set)
        for at, candidate in candidates.items():
            for name in candidate.all_names:
                self._by_name[name].append(at)
            for crc in candidate.listed:
                self._by_listed_crc[crc].add(at)

    def find(self, wanted: Mapping[str, int | None]) -> dict[str, FoundRecord]:
        """The records that can be found, of `wanted` sizes by name; None is an unknown size."""
        found = {name: self._empty(name) for name, size in wanted.items() if size == 0}
        names = {name.lower() for name in wanted}
        for is_named in (self._is_certain, self._is_only_possibility):
            taken = {name.lower() for name in found}
            for name, size in wanted.items():
                if name not in found:
                    matching = (at for at in self._offsets(name) if is_named(name, self.candidates[at], names, taken))
                    if (record := self._matching_crc(name, size, matching, RecordState.WHOLE)) is not None:
                        found[name] = record
        for name, size in wanted.items():
            if name not in found:
                certain = (at for at in self._offsets(name) if self.candidates[at].votes(name) >= ENOUGH)
                record = self._matching_crc(name, None, certain, RecordState.DAMAGED)  # whole, but of another length
                if record := record or self._unverified(name, size):
                    found[name] = record
        return found

    def _empty(self, name: str) -> FoundRecord:
        """A record without bytes, whose own header need not be intact."""
        return FoundRecord(BytesPayload(b""), next(iter(self._offsets(name)), NOWHERE), RecordState.WHOLE)

    def _offsets(self, name: str) -> list[int]:
        """The candidates that any evidence gives a name, those with most evidence first."""
        found = self._by_name.get(name.lower(), [])
        self._charge(LOOK_COST * sum(len(self.candidates[at].names) for at in found))
        return sorted(found, key=lambda at: -self.candidates[at].votes(name))

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise LimitError("the headers of this file are too many that give different offsets and names for the same records")

    @staticmethod
    def _is_certain(name: str, candidate: Candidate, names: set[str], _: set[str]) -> bool:
        """Whether enough evidence gives the name, and less gives any other name that is searched for."""
        votes, others = candidate.votes(name), names & candidate.all_names - {name.lower()}
        return votes >= ENOUGH and all(candidate.votes(other) < votes for other in others)

    @staticmethod
    def _is_only_possibility(name: str, candidate: Candidate, names: set[str], taken: set[str]) -> bool:
        """Whether the evidence disagrees, and its other names are of no record or of records already found."""
        others = candidate.all_names - {name.lower()}
        return bool(others) and names & others <= taken

    def _matching_crc(self, name: str, size: int | None, offsets: Iterator[int], state: RecordState) -> FoundRecord | None:
        """The record at the first offset whose bytes match a CRC recorded for them, of a size if that is known."""
        for at in offsets:
            for extent in self._extents(at, size):
                payload = self._payload(at, extent, name)
                if payload is not None and self._matches_crc(at, extent):
                    return FoundRecord(payload, at, state)
        return None

    def _unverified(self, name: str, size: int | None) -> FoundRecord | None:
        """The bytes at the offset that most evidence gives, although no CRC confirms them."""
        for at in self._offsets(name):
            for extent in self._extents(at, size):
                payload = self._payload(at, extent, name)
                if payload is None or not payload.length:
                    continue
                if extent.method == structs.STORED or self._crc(at, extent) is not None:  # what does not inflate is lost
                    is_wrong = any(self.candidates[at].crcs) and not self._matches_crc(at, extent)
                    return FoundRecord(payload, at, RecordState.DAMAGED if is_wrong else RecordState.UNVERIFIABLE)
        return None

    def _extents(self, at: int, size: int | None) -> Iterator[RecordExtent]:
        """The possible extents of a candidate, of a size if that is known; stored as it is, unless anything says otherwise."""
        known = [extent for extent in self.candidates[at].extents if size is None or extent.size == size]
        yield from known
        is_compressed = any(extent.method != structs.STORED for extent in known)
        if size is not None and not is_compressed and RecordExtent(size, size) not in known:
            yield RecordExtent(size, size)

    def _matches_crc(self, at: int, extent: RecordExtent) -> bool:
        """Whether the bytes match a CRC recorded for them; 0 is what some programs write without computing it."""
        crc, candidate = self._crc(at, extent), self.candidates[at]
        if not crc:
            return False
        own = candidate.listed - {0}
        if own and crc not in own and self._by_listed_crc.get(crc, set()) - {at}:
            return False  # the directory lists these bytes elsewhere, and others here
        return crc in candidate.crcs or crc == self._descriptor_crc(at, extent.length)

    def _descriptor_crc(self, at: int, length: int) -> int | None:
        """The CRC of a descriptor after the data, of which either the signature or the length may be damaged."""
        data = read_some(self.source, at + length, structs.DESCRIPTOR_SIZE)
        if data is None:
            return None
        descriptor = structs.numbers(structs.Descriptor, data)  # of a 64-bit descriptor, the lower half of the length
        has_length = descriptor["compressed_size"] == length & structs.FULL32
        return descriptor["crc"] if has_length or data.startswith(structs.DESCRIPTOR_SIGNATURE) else None

    def _crc(self, at: int, extent: RecordExtent) -> int | None:
        """The CRC of the bytes; None where they cannot be read to their end."""
        if (at, extent) not in self._crcs:
            self._crcs[at, extent] = self._computed_crc(at, extent)
        return self._crcs[at, extent]

    def _computed_crc(self, at: int, extent: RecordExtent) -> int | None:
        payload, crc = self._payload(at, extent, "this record"), 0
        if payload is None:
            return None
        self._charge(extent.length + extent.size)
        try:
            for chunk in payload.chunks(0, payload.length, self._buffers):
                crc = crc32(chunk, crc)
        except PtzipError:
            return None
        return crc

    def _payload(self, at: int, extent: RecordExtent, name: str) -> Payload | None:
        """The bytes at an offset; None where they cannot have that extent."""
        if at + extent.length > self.source.size:
            return None
        stored = SourcePayload(self.source, at, extent.length)
        if extent.method == structs.DEFLATED:
            return InflatedPayload(stored, extent.size, name)
        return stored if extent.method == structs.STORED and extent.length == extent.size else None
