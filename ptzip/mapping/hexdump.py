"""The bytes of a stretch of a file in rows, none of which has bytes of two parts, or of two fields of a structure."""

from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import EditError, FormatError
from ptzip.io.sources import Source
from ptzip.mapping.claims import CENTRAL, COUNT, DESCRIPTOR, LOCAL, LONG_NAME, PADDING, PAX_RECORDS, TAR_HEADER
from ptzip.mapping.parts import FilePart, part_at
from ptzip.mapping.unfold import part_fields
from ptzip.mapping.where import Where

if TYPE_CHECKING:
    from ptzip.mapping.fields import Field

ROW = 16
"""Bytes of a row at most, which begins at a multiple of them, unless it is that of a field."""

HEADERS = frozenset((LOCAL, CENTRAL, TAR_HEADER))
"""Kinds of parts that another record begins with."""

AROUND = HEADERS | {DESCRIPTOR, COUNT, PAX_RECORDS, LONG_NAME, PADDING}
"""Kinds of parts that a record has around its data."""

DEFAULT_LENGTH = 256
"""Bytes that are shown from an offset on, where no length is given."""


class DumpRow(NamedTuple):
    """Up to `ROW` bytes from `offset`, which belong to one part. `field` is the field of a structure that begins in this row,
    which has no bytes if it is made of others.
    """

    offset: int
    data: bytes
    part: FilePart
    field: "Field | None" = None


def dump_rows(source: Source, parts: Sequence[FilePart], start: int, stop: int, field_row: int = ROW) -> Iterator[DumpRow]:
    """The rows of the bytes from one offset to another; those of fields have `field_row` bytes at most."""
    at = start
    while at < stop:
        part = part_at(parts, at)
        end = min(part.end, stop)
        fields = part_fields(source, part)
        if fields:
            yield from _of_fields(fields, part, at, end, field_row)
        else:
            yield from _aligned(source, part, at, end)
        at = end


def _aligned(source: Source, part: FilePart, at: int, stop: int) -> Iterator[DumpRow]:
    while at < stop:
        end = min(at - at % ROW + ROW, stop)
        yield DumpRow(at, source.read(at, end - at), part)
        at = end


def _of_fields(fields: "list[Field]", part: FilePart, start: int, stop: int, length: int) -> Iterator[DumpRow]:
    """The fields that are at least partly in a stretch."""
    for field, following in zip(fields, [*fields[1:], None], strict=True):
        first, last = max(field.offset, start), min(field.offset + field.length, stop)
        if first >= last:
            continue
        is_made_of_others = following is not None and following.depth > field.depth
        if is_made_of_others:
            yield DumpRow(first, b"", part, field)
            continue
        for at in range(first, last, length):
            end = min(at + length, last)
            yield DumpRow(at, field.raw[at - field.offset : end - field.offset], part, field if at == first else None)


def stretch(parts: Sequence[FilePart], where: Where) -> tuple[int, int]:
    """The first byte of what is named, and the byte after the last. Raises FormatError for an offset that the file lacks,
    EditError for such a record.
    """
    size = parts[-1].end if parts else 0
    if where.offset is None:
        return record_stretch(parts, where.inside)
    if where.offset >= size:
        raise FormatError(f"there is no byte {where.offset:,}: the file has {size:,}")
    length = DEFAULT_LENGTH if where.length is None else where.length
    return where.offset, min(where.offset + length, size)


def record_stretch(parts: Sequence[FilePart], name: str) -> tuple[int, int]:
    """The data of a record as they are in the file, from its first part that is no header to its last; of several records of
    that name, those of the first. Raises EditError where there is none.
    """
    first = next((index for index, part in enumerate(parts) if _is_of(part, name)), None)
    if first is None:
        raise EditError(f"there is no record {name}: `ptzip inspect FILE --records` lists them")
    rest = takewhile(lambda part: part.kind not in HEADERS, islice(parts, first, None))
    return parts[first].offset, max(part.end for part in rest if _is_of(part, name))


def _is_of(part: FilePart, name: str) -> bool:
    """Whether a part is of the data of a record, whose folder may be left out, and which zip of several it is in."""
    return part.kind not in AROUND and name in (part.owner, part.owner.partition("/")[2], part.owner.partition(": ")[2])
