"""The views of the bytes of a file, which need not open: its map, a hex dump, and what single bytes are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ptzip.checkpoint import opened_bytes as opened_bytes
from ptzip.inspecting.view import opcode_dict
from ptzip.io.sources import Source
from ptzip.json_output import report_dict
from ptzip.limits import Limits
from ptzip.mapping.hexdump import ROW, DumpRow, dump_rows, stretch
from ptzip.mapping.locate import Location
from ptzip.mapping.parts import FilePart, file_parts
from ptzip.mapping.unfold import part_fields
from ptzip.mapping.where import Where
from ptzip.text import as_json

if TYPE_CHECKING:
    from ptzip.mapping.fields import Field


class MapView(NamedTuple):
    """The map of a file; with `has_fields` also the fields of its structures."""

    source: Source
    parts: list[FilePart]
    has_fields: bool = False

    @property
    def size(self) -> int:
        return self.source.size

    def fields(self, part: FilePart) -> "list[Field]":
        """The fields of a part, if they are wanted."""
        return part_fields(self.source, part) if self.has_fields else []

    def to_dict(self) -> dict[str, Any]:
        return {"size": self.size, "parts": [self._part(part) for part in self.parts]}

    def _part(self, part: FilePart) -> dict[str, Any]:
        fields = {"fields": list(map(_field, self.fields(part)))} if self.has_fields else {}
        return part._asdict() | {"users": list(part.users)} | fields


class HexView(NamedTuple):
    """The bytes from `start` to `stop`."""

    start: int
    stop: int
    rows: Iterator[DumpRow]

    def to_dict(self) -> dict[str, Any]:
        return {"rows": [_row(row) for row in self.rows]}


class AtView(NamedTuple):
    """Some bytes, each with the way to it."""

    locations: list[Location]

    def to_dict(self) -> dict[str, Any]:
        return {"locations": list(map(_location, self.locations))}


ByteView = MapView | HexView | AtView


def _location(found: Location) -> dict[str, Any]:
    """A byte with what is known of it; numbers of bytes and elements count from 0."""
    shown: dict[str, Any] = {"offset": found.offset} | ({"inside": found.inside} if found.inside else {})
    shown |= {"byte": found.byte, "parts": [part._asdict() for part in found.parts]}
    if found.fields:
        shown["fields"] = list(map(_field, found.fields))
    if found.built:
        shown["opcode"] = opcode_dict(found.built.opcode) | {"byte": found.built.byte}
        shown["builds"] = {
            "value": found.built.value,
            "in": found.built.uses,
            "path": found.built.path,
            "key": found.built.is_key,
        }
    if found.element:
        tensors = [one._asdict() | {"value": as_json(one.value)} for one in found.element.tensors]
        shown["element"] = found.element._asdict() | {"tensors": tensors}
    return shown


def _row(row: DumpRow) -> dict[str, Any]:
    found = {"offset": row.offset, "bytes": row.data.hex(), "kind": row.part.kind, "owner": row.part.owner}
    return found | ({"field": _field(row.field)} if row.field else {})


def _field(field: "Field") -> dict[str, Any]:
    """A field with its bytes in hexadecimal."""
    return field._asdict() | {"raw": field.raw.hex(), "value": as_json(field.value)}


def map_view(source: Source, limits: Limits, has_fields: bool = False) -> MapView:
    """The map of a file."""
    return MapView(source, list(file_parts(source, limits)), has_fields)


def hex_view(source: Source, where: Where, limits: Limits, field_row: int = ROW) -> HexView:
    """The bytes of a stretch of a file, or of a record, with `field_row` bytes of a field in a row.

    Raises FormatError or EditError where there is no such stretch.
    """
    parts = list(file_parts(source, limits))
    start, stop = stretch(parts, where)
    return HexView(start, stop, dump_rows(source, parts, start, stop, field_row))


def byte_view_dict(source: Source, view: ByteView) -> dict[str, Any]:
    """What `--json` prints of a view."""
    return report_dict(True, path=source.name, **view.to_dict())
