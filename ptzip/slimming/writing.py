"""The bytes of a new file, and what is told of them once they were written.

Rule: each byte of the input is read once by one pass over a plan.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ptzip.container.archive import Checked
from ptzip.editing.account import Finished
from ptzip.slimming.planning import NewFile, Planned
from ptzip.target import ZSTD
from ptzip.tensors.cast import Stretch

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes that there are."""


def write(file: NewFile, descriptor: int, target: Path, progress: Progress | None = None) -> None:
    """Write a file to an open one, in place of what is in it; `target` is where it will be moved, and says how it is packed."""
    done, total = 0, sum(payload.length for payload in file.payloads)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    if target.suffix == ZSTD:
        _write_packed(file, descriptor, target.parent, advance)
    else:
        file.write(descriptor, advance)


def _write_packed(file: NewFile, descriptor: int, folder: Path, advance: Callable[[int], None]) -> None:
    """A zip is written at any place, zstd only from the start to the end: so the one first, beside the other."""
    import tempfile  # here and below, since few files are written so

    from ptzip.formats import wrapped

    with tempfile.TemporaryFile(dir=folder) as plain:
        file.write(plain.fileno(), advance)
        wrapped.pack(plain.fileno(), descriptor)


def overflowed(finished: Finished) -> set[Stretch]:
    """The floats of the input among which some were beyond the range."""
    return {cast.origin for cast in finished.casts if cast.origin is not None and cast.loss.overflowed}


def crc_warnings(planned: Planned) -> tuple[str, ...]:
    """Of all records that were read: those that were for the plan, and those that were copied."""
    return crc_lines(planned.finished.read + _copied(planned))


def _copied(planned: Planned) -> list[Checked]:
    """The records that were copied and are no storages."""
    storages = set(map(id, planned.finished.storages))
    return [payload for payload in planned.file.payloads if isinstance(payload, Checked) and id(payload) not in storages]


def crc_lines(records: list[Checked]) -> tuple[str, ...]:
    """One line for each record whose bytes do not have its CRC, and one for all that have none (0, as some savers write)."""
    wrong = [record for record in records if record.is_wrong()]
    missing = [record.name for record in wrong if not record.expected]
    lines = [f"the CRC of record {record.name} is wrong: its bytes may be damaged" for record in wrong if record.expected]
    if missing:
        lines.append(f"{len(missing)} records were saved without a CRC and could not be checked, {missing[0]} the first")
    return tuple(lines)
