"""Computes the CRC of every record of a zip on all cores: threads share stripes of records, the main thread included.

They are plain threads, since executors take longer to import than most files take to read. Each holds one piece in memory.
"""

import mmap
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import Problem, PtzipError
from ptzip.io.crc32 import crc32
from ptzip.io.payloads import ByteCounter, CheckedPayload, SourcePayload, stripes
from ptzip.io.sources import WORKERS
from ptzip.zip.crc_messages import crc_mismatch
from ptzip.zip.reader import Archive, Entry

PIECE = 4 << 20
"""Bytes that are read at once: after each piece a thread may have to wait for the interpreter."""


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
        self.failures = list[BaseException]()
        self.counter = counter
        counter.expect(sum(entry.size for archive in archives for entry in archive.entries))
        self.stripes = self._stripes(archives)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work) for _ in range(WORKERS - 1)]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> "CrcReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._join()

    def result(self) -> Crcs:
        """The result, once everything is read. Raises what reading failed with other than PtzipError, mostly OSError."""
        self._work()
        self._join()
        for failure in self.failures:
            raise failure
        read = [(entry, record) for entry, record in self.records if record not in self.unreadable]
        wrong = [(entry, record) for entry, record in read if record.is_wrong()]
        unchecked = tuple(entry.name for entry, _ in wrong if not entry.crc)
        damaged = [
            Problem("data", entry.name, crc_mismatch(entry.crc, record.pieces.crc(record.length)), entry.data_offset)
            for entry, record in wrong
            if entry.crc and not _has_own_crc(entry, record)
        ]
        return Crcs(len(read) - len(wrong), unchecked, (*self.problems, *self.unreadable.values(), *damaged))

    def _stripes(self, archives: Iterable[Archive]) -> Iterator[Stripe]:
        for entry in (entry for archive in archives for entry in archive.entries):
            try:
                record = entry.checked
            except PtzipError as error:
                self.problems.append(Problem("header", entry.name, str(error), entry.header_offset))
                continue
            self.records.append((entry, record))
            for start, stop in stripes(record):
                yield record, start, stop

    def _next(self) -> Stripe | None:
        with self.lock:
            return next(self.stripes, None)

    def _stop(self) -> None:
        with self.lock:
            self.stripes = iter(())

    def _join(self) -> None:
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        """Read until no stripe is left."""
        buffer = memoryview(mmap.mmap(-1, PIECE))  # page-aligned: some processors copy to other addresses at half the speed
        try:
            while stripe := self._next():
                self._read(*stripe, buffer)
                self.counter.add(stripe[2] - stripe[1])
        except BaseException as error:
            self.failures.append(error)
            self._stop()

    def _read(self, record: CheckedPayload, start: int, stop: int, buffer: memoryview) -> None:
        try:
            if isinstance(record.base, SourcePayload):
                crc = 0
                for piece in record.base.passing(start, stop, buffer):
                    crc = crc32(piece, crc)
                record.pieces.add(start, stop, crc)
            else:
                for _ in record.chunks(start, stop):
                    pass
        except PtzipError as error:
            self.unreadable.setdefault(record, Problem("data", record.name, str(error)))


def _has_own_crc(entry: Entry, record: CheckedPayload) -> bool:
    """Whether the bytes match the CRC in the record's own header or descriptor: then the one in the directory is wrong."""
    try:
        own = entry.descriptor or entry.local
    except PtzipError:
        return False
    return own.crc == record.pieces.crc(record.length)
