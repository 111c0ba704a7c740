"""The CRC of every record of a zip, on all cores.

Rule: a record is read once, in stretches that several threads share; no more than one of each thread is in memory. They are
long, since whoever comes back from one may wait for the interpreter.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ptzip.container.archive import Archive, Checked, Entry
from ptzip.container.checksum import crc32
from ptzip.container.writer import STRIPE, WORKERS
from ptzip.errors import PtzipError
from ptzip.source import Span
from ptzip.verifying.report import DATA, HEADER, Problem


class Checksums(NamedTuple):
    """How many records have the CRC that is recorded, which have none (0, as some savers write), and what is wrong."""

    right: int
    unchecked: tuple[str, ...]
    problems: tuple[Problem, ...]


Job = tuple[Checked, int, int]


class Reading:
    """Every record of an archive, being read; to be used in a `with` block, which waits for it or gives it up."""

    def __init__(self, archive: Archive) -> None:
        self.records = list[tuple[Entry, Checked]]()
        self.problems = list[Problem]()
        for entry in archive.entries:
            try:
                self.records.append((entry, Checked(entry.payload, entry.name, entry.crc)))
            except PtzipError as error:
                self.problems.append(Problem(HEADER, entry.name, str(error), entry.header_offset))
        self.pool = ThreadPoolExecutor(WORKERS)
        self.jobs = [self.pool.submit(_read, job) for job in _jobs([record for _, record in self.records])]

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def result(self) -> Checksums:
        """What was read, once all is."""
        problems = [*self.problems, *(problem for job in self.jobs if (problem := job.result()))]
        broken = {problem.place for problem in problems}
        wrong = [(entry, record) for entry, record in self.records if record.is_wrong() and record.name not in broken]
        unchecked = tuple(entry.name for entry, _ in wrong if not entry.crc)
        problems += [_damaged(entry) for entry, record in wrong if entry.crc and not _is_own(entry, record)]
        return Checksums(len(self.records) - len(wrong) - len(broken), unchecked, tuple(problems))


def _jobs(records: list[Checked]) -> Iterator[Job]:
    for record in records:
        step = STRIPE if record.seekable else max(record.length, 1)
        for start in range(0, max(record.length, 1), step):
            yield record, start, min(start + step, record.length)


def _read(job: Job) -> Problem | None:
    record, start, stop = job
    try:
        if isinstance(record.base, Span):
            data = record.base.source.read(record.base.offset + start, stop - start)
            record.pieces.add(start, stop, crc32(data))
            return None
        for _ in record.chunks(start, stop):
            pass
    except PtzipError as error:
        return Problem(DATA, record.name, str(error))
    return None


def _is_own(entry: Entry, record: Checked) -> bool:
    """Whether the bytes have the CRC that the record's own header or descriptor gives: then the directory's is wrong."""
    try:
        own = entry.descriptor or entry.local
    except PtzipError:
        return False
    return own.crc == record.pieces.crc(record.length)


def _damaged(entry: Entry) -> Problem:
    message = f"its bytes do not have the CRC that is recorded, {entry.crc:08x}: they are not those that were written"
    return Problem(DATA, entry.name, message, entry.data_offset)
