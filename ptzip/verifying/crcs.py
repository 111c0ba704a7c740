"""Computes the CRC of every record of a zip on all cores: threads share stripes of records, the main thread included."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import Problem, PtzipError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import ByteCounter, CheckedPayload, stripes
from ptzip.io.sources import place_of
from ptzip.io.workers import Workers
from ptzip.zip.crc_messages import crc_mismatch
from ptzip.zip.reader import Archive, Entry


class Crcs(NamedTuple):
    """How many records match their CRC, which have none (0, as some programs write), and the problems of the others."""

    matching: int
    unchecked: tuple[str, ...]
    problems: tuple[Problem, ...]


Stripe = tuple[CheckedPayload, int, int]


class CrcReader:
    """Reads every record of some archives in the background; on leaving its `with` block, the threads are stopped."""

    def __init__(self, archives: Sequence[Archive], counter: ByteCounter) -> None:
        self.records = list[tuple[Entry, CheckedPayload]]()
        self.problems = list[Problem]()
        self.unreadable = dict[CheckedPayload, Problem]()
        self.counter = counter
        counter.expect(sum(entry.size for archive in archives for entry in archive.entries))
        self.workers = Workers(self._read, self._stripes(archives))

    def __enter__(self) -> "CrcReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.workers.__exit__(*error)

    def result(self) -> Crcs:
        """The result, once everything is read. Raises what reading failed with other than PtzipError, mostly OSError."""
        self.workers.finish()
        read = [(entry, record) for entry, record in self.records if record not in self.unreadable]
        wrong = [(entry, record) for entry, record in read if record.is_wrong()]
        unchecked = tuple(entry.name for entry, _ in wrong if not entry.crc)
        damaged = [
            Problem(
                "data",
                entry.name,
                crc_mismatch(entry.crc, record.pieces.crc(record.length)),
                *place_of(entry.source, entry.data_offset),
            )
            for entry, record in wrong
            if entry.crc and not _has_own_crc(entry, record)
        ]
        return Crcs(len(read) - len(wrong), unchecked, (*self.problems, *self.unreadable.values(), *damaged))

    def _stripes(self, archives: Iterable[Archive]) -> Iterator[Stripe]:
        for entry in (entry for archive in archives for entry in archive.entries):
            try:
                record = entry.checked
            except PtzipError as error:
                self.problems.append(Problem("header", entry.name, error.message, *place_of(entry.source, entry.header_offset)))
                continue
            self.records.append((entry, record))
            for start, stop in stripes(record):
                yield record, start, stop

    def _read(self, stripe: Stripe, buffers: Buffers) -> None:
        record, start, stop = stripe
        try:
            for _ in record.chunks(start, stop, buffers):
                pass
        except PtzipError as error:
            self.unreadable.setdefault(record, Problem("data", record.name, error.message, error.offset, error.inside))
        self.counter.add(stop - start)


def _has_own_crc(entry: Entry, record: CheckedPayload) -> bool:
    """Whether the bytes match the CRC in the record's own header or descriptor: then the one in the directory is wrong."""
    try:
        own = entry.descriptor or entry.local
    except PtzipError:
        return False
    return own.crc == record.pieces.crc(record.length)
