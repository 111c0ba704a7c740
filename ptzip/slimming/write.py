"""The bytes of a new file, and what is told of them once they were written.

Rule: each byte of the input is read once by one pass over a plan.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ptzip.editing.account import Finished
from ptzip.io.atomic_output import NewFile
from ptzip.io.compression import compress, compression_named
from ptzip.io.payloads import CheckedPayload
from ptzip.slimming.plan import Planned
from ptzip.tensors.cast import Stretch
from ptzip.zip.crc_messages import crc_lines

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
    if compression_named(target):
        _write_packed(file, descriptor, target.parent, advance)
    else:
        file.write(descriptor, advance)


def _write_packed(file: NewFile, descriptor: int, folder: Path, advance: Callable[[int], None]) -> None:
    """A zip is written at any place, zstd only from the start to the end: so the one first, beside the other."""
    import tempfile  # few outputs are compressed

    with tempfile.TemporaryFile(dir=folder) as plain:
        file.write(plain.fileno(), advance)
        compress(plain.fileno(), descriptor)


def overflowed(finished: Finished) -> set[Stretch]:
    """The floats of the input among which some were beyond the range."""
    return {cast.origin for cast in finished.casts if cast.origin is not None and cast.loss.overflowed}


def crc_warnings(planned: Planned) -> tuple[str, ...]:
    """Of all records that were read: those that were for the plan, and those that were copied."""
    return crc_lines(planned.finished.read + _copied(planned))


def _copied(planned: Planned) -> list[CheckedPayload]:
    """The records that were copied and are no storages."""
    storages = set(map(id, planned.finished.storages))
    return [payload for payload in planned.file.payloads if isinstance(payload, CheckedPayload) and id(payload) not in storages]
