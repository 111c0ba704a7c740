"""The records of a file, one row each: offset, how it is stored, and where its two headers differ.

The central directory is what counts, as for torch; local headers are only compared with it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import FormatError
from ptzip.formats.container import Container
from ptzip.formats.torchzip import TorchZip
from ptzip.formats.zips import ForeignZip, Shard
from ptzip.mapping.owners import owners_of
from ptzip.mapping.purposes import purpose
from ptzip.zip.header_mismatches import Mismatch, mismatches
from ptzip.zip.reader import Archive

METHODS = {0: "stored", 8: "deflated"}
MOST_ALIGNED = 4096
"""Larger powers of two are coincidence."""


class RecordRow(NamedTuple):
    """One record; `offset` is that of its data, `header` that of its local header, and sizes are in bytes.

    Where the file is not a zip, `method` and `crc` are None and `note` says what this section of the file is. `users` are the
    names of the tensors on a storage, or what the record is for.
    """

    name: str
    offset: int
    size: int
    header: int | None = None
    stored: int | None = None
    method: str | None = None
    crc: int | None = None
    differences: tuple[Mismatch, ...] = ()
    note: str = ""
    users: tuple[str, ...] = ()

    @property
    def alignment(self) -> int:
        """The largest power of two that divides the offset, at most `MOST_ALIGNED`."""
        return min(self.offset & -self.offset, MOST_ALIGNED) if self.offset else MOST_ALIGNED


def record_rows(checkpoint: Checkpoint, is_brief: bool = False) -> Iterator[RecordRow]:
    """Everything in the file, in the order of the bytes. An `is_brief` look reads no local header."""
    return _rows(checkpoint.container, 0, is_brief)


def used_rows(checkpoint: Checkpoint) -> Iterator[RecordRow]:
    """The same with the users of each."""
    owners = owners_of(checkpoint.container, checkpoint.content, checkpoint.limits)
    for row in record_rows(checkpoint):
        owner = owners.get(row.offset)
        record = row.name.partition("/")[2].lower()
        yield row._replace(users=tuple(owner.names) if owner else purpose(record))


def _rows(container: Container, start: int, is_brief: bool) -> Iterator[RecordRow]:
    if isinstance(container, Shard):
        for number, (below, at) in enumerate(zip(container.zips, container.starts, strict=True), 1):
            yield from (row._replace(name=f"zip {number}: {row.name}") for row in _rows(below, start + at, is_brief))
    elif isinstance(container, TorchZip | ForeignZip):
        yield from _entries(container.archive, start, is_brief)
    else:
        for member in container.members:
            yield RecordRow(member.name, member.offset, member.size, note=member.note)


def _entries(archive: Archive, start: int, is_brief: bool) -> Iterator[RecordRow]:
    for entry in sorted(archive.entries, key=lambda entry: entry.header_offset):
        offset, found, note = entry.header_offset, tuple[Mismatch, ...](), ""
        try:
            if not is_brief:
                offset, found = entry.data_offset, tuple(mismatches(entry))
        except FormatError as error:
            note = error.message
        method = METHODS.get(entry.method, f"method {entry.method}")
        header = start + entry.header_offset
        yield RecordRow(entry.name, start + offset, entry.size, header, entry.compressed_size, method, entry.crc, found, note)
