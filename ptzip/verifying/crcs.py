"""The CRC of every record of a zip, on all cores.

Rule: a record is read once, in stretches that several threads share; no more than one piece of each thread is in memory.
Whoever waits for the others works too, so that there are never more threads than cores. They are plain ones: executors take
longer to import than most files to be read.
"""

import mmap
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ptzip.errors import PtzipError
from ptzip.io.crc32 import crc32
from ptzip.io.payloads import CheckedPayload, SourcePayload
from ptzip.io.sources import STRIPE, WORKERS
from ptzip.verifying.report import DATA, HEADER, Problem
from ptzip.zip.reader import Archive, Entry

PIECE = 4 << 20
"""Bytes read at once: after each piece a thread may have to wait for the interpreter."""


class Checksums(NamedTuple):
    """How many records have the CRC that is recorded, which have none (0, as some savers write), and what is wrong."""

    right: int
    unchecked: tuple[str, ...]
    problems: tuple[Problem, ...]


Job = tuple[CheckedPayload, int, int]


class Reading:
    """Every record of some archives, being read; to be used in a `with` block, which waits for it or gives it up."""

    def __init__(self, archives: Iterable[Archive]) -> None:
        self.records = list[tuple[Entry, CheckedPayload]]()
        self.problems = list[Problem]()
        self.broken = dict[CheckedPayload, Problem]()
        self.failures = list[BaseException]()
        self.jobs = self._jobs(archives)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work) for _ in range(WORKERS - 1)]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()
        self._join()

    def result(self) -> Checksums:
        """What was read, once all is; raises what a thread failed with, as OSError."""
        self._work()
        self._join()
        for failure in self.failures:
            raise failure
        whole = [(entry, record) for entry, record in self.records if record not in self.broken]
        wrong = [(entry, record) for entry, record in whole if record.is_wrong()]
        unchecked = tuple(entry.name for entry, _ in wrong if not entry.crc)
        damaged = [_damaged(entry) for entry, record in wrong if entry.crc and not _is_own(entry, record)]
        return Checksums(len(whole) - len(wrong), unchecked, (*self.problems, *self.broken.values(), *damaged))

    def _jobs(self, archives: Iterable[Archive]) -> Iterator[Job]:
        for entry in (entry for archive in archives for entry in archive.entries):
            try:
                record = CheckedPayload(entry.payload, entry.name, entry.crc)
            except PtzipError as error:
                self.problems.append(Problem(HEADER, entry.name, str(error), entry.header_offset))
                continue
            self.records.append((entry, record))
            step = STRIPE if record.seekable else max(record.length, 1)
            for start in range(0, max(record.length, 1), step):
                yield record, start, min(start + step, record.length)

    def _next(self) -> Job | None:
        with self.lock:
            return next(self.jobs, None)

    def _give_up(self) -> None:
        with self.lock:
            self.jobs = iter(())

    def _join(self) -> None:
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        """Read until nothing is left."""
        buffer = memoryview(mmap.mmap(-1, PIECE))  # begins at a page: some processors copy to other places at half the speed
        try:
            while job := self._next():
                self._read(*job, buffer)
        except BaseException as error:
            self.failures.append(error)
            self._give_up()

    def _read(self, record: CheckedPayload, start: int, stop: int, buffer: memoryview) -> None:
        try:
            if isinstance(record.base, SourcePayload):
                record.pieces.add(start, stop, _crc(record.base.passing(start, stop, buffer)))
            else:
                for _ in record.chunks(start, stop):
                    pass
        except PtzipError as error:
            self.broken.setdefault(record, Problem(DATA, record.name, str(error)))


def _crc(pieces: Iterable[memoryview]) -> int:
    crc = 0
    for piece in pieces:
        crc = crc32(piece, crc)
    return crc


def _is_own(entry: Entry, record: CheckedPayload) -> bool:
    """Whether the bytes have the CRC that the record's own header or descriptor gives: then the directory's is wrong."""
    try:
        own = entry.descriptor or entry.local
    except PtzipError:
        return False
    return own.crc == record.pieces.crc(record.length)


def _damaged(entry: Entry) -> Problem:
    message = f"its bytes do not have the CRC that is recorded, {entry.crc:08x}: they are not those that were written"
    return Problem(DATA, entry.name, message, entry.data_offset)
