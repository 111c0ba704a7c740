"""Writing a plan, and a second one where the first turned out to lose numbers that are to be kept.

Rule: each byte of the input is read once, unless a cast met numbers beyond the range, which no plan can know.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ptzip.container.archive import Checked
from ptzip.editing.account import Finished
from ptzip.slimming.planning import NewFile, Planned
from ptzip.target import ZSTD, new_file
from ptzip.tensors.cast import Stretch

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes that there are."""

Beyond = Callable[[Planned, set[Stretch]], Planned | None]
"""Asked where floats of these stretches turned out to be beyond the range: another plan, or None where that one stands."""


class NothingToGain(Exception):
    """All that a plan was to cast is beyond the range."""


Look = Callable[[Planned, str], None]
"""Called with what was written and the path of it, before it is moved into its place."""


def write(
    planned: Planned, target: Path, like: Path, beyond: Beyond, look: Look, progress: Progress | None = None
) -> tuple[Planned, int]:
    """Write a file to its place; the plan that was written in the end, and the size.

    Raises NothingToGain where the other plan is that of the file as it is.
    """
    in_place = target.exists() and target.samefile(like)
    with new_file(target, like=like, sync=in_place) as descriptor:
        _write(planned, descriptor, target, progress)
        wide = overflowed(planned.finished)
        while wide and (other := beyond(planned, wide)) is not None:
            if not other.edit.has_gain:
                raise NothingToGain
            planned = other
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            _write(planned, descriptor, target, progress)
            more = overflowed(planned.finished)  # of a storage that stood for another one, too
            wide = wide | more if more else set()
        look(planned, f"/dev/fd/{descriptor}")
        return planned, os.fstat(descriptor).st_size


def overflowed(finished: Finished) -> set[Stretch]:
    """The floats of the input among which some were beyond the range."""
    return {cast.origin for cast in finished.casts if cast.origin is not None and cast.loss.overflowed}


def _write(planned: Planned, descriptor: int, target: Path, progress: Progress | None) -> None:
    done, total = 0, sum(payload.length for payload in planned.file.payloads)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    if target.suffix == ZSTD:
        _write_packed(planned.file, descriptor, target.parent, advance)
    else:
        planned.file.write(descriptor, advance)


def _write_packed(file: NewFile, descriptor: int, folder: Path, advance: Callable[[int], None]) -> None:
    """A zip is written at any place, zstd only from the start to the end: so the one first, beside the other."""
    import tempfile  # here and below, since few files are written so

    from ptzip.formats import wrapped

    with tempfile.TemporaryFile(dir=folder) as plain:
        file.write(plain.fileno(), advance)
        wrapped.pack(plain.fileno(), descriptor)


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
