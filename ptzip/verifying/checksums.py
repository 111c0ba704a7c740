"""The CRC of every record of a zip, on all cores.

Rule: a record is read once, in stretches that several threads share; no more than a chunk of each is in memory.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ptzip.container.archive import Archive, Checked, Entry
from ptzip.container.writer import STRIPE, WORKERS
from ptzip.errors import PtzipError
from ptzip.verifying.report import DATA, HEADER, Problem


class Checksums(NamedTuple):
    """How many records have the CRC that is recorded, which have none (0, as some savers write), and what is wrong."""

    right: int
    unchecked: tuple[str, ...]
    problems: tuple[Problem, ...]


Job = tuple[Checked, int, int]


def checksums(archive: Archive) -> Checksums:
    """Read every record of an archive."""
    records, problems = list[tuple[Entry, Checked]](), list[Problem]()
    for entry in archive.entries:
        try:
            records.append((entry, Checked(entry.payload, entry.name, entry.crc)))
        except PtzipError as error:
            problems.append(Problem(HEADER, entry.name, str(error), entry.header_offset))
    with ThreadPoolExecutor(WORKERS) as pool:
        problems += [problem for problem in pool.map(_read, _jobs([record for _, record in records])) if problem]
    broken = {problem.place for problem in problems}
    wrong = [(entry, record) for entry, record in records if record.is_wrong() and record.name not in broken]
    unchecked = tuple(record.name for entry, record in wrong if not entry.crc)
    problems += [_damaged(entry) for entry, _ in wrong if entry.crc]
    return Checksums(len(records) - len(wrong) - len(broken), unchecked, tuple(problems))


def _jobs(records: list[Checked]) -> Iterator[Job]:
    for record in records:
        step = STRIPE if record.seekable else max(record.length, 1)
        for start in range(0, max(record.length, 1), step):
            yield record, start, min(start + step, record.length)


def _read(job: Job) -> Problem | None:
    record, start, stop = job
    try:
        for _ in record.chunks(start, stop):
            pass
    except PtzipError as error:
        return Problem(DATA, record.name, str(error))
    return None


def _damaged(entry: Entry) -> Problem:
    message = f"its bytes do not have the CRC that is recorded, {entry.crc:08x}: they are not those that were written"
    return Problem(DATA, entry.name, message, entry.data_offset)
