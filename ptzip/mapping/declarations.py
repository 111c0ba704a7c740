"""The binary structures of checkpoints, declared field by field; a declaration parses, builds, and locates each field.

Names and widths come from the layouts that the readers use (`ptzip.zip.structs.LAYOUTS`, `ptzip.formats.signatures.TAR_HEADER`
and so on); what is added here is what a layout cannot say: fields in fields, repeated and conditional ones. A declaration
describes and does not judge: it takes any value that its bytes can hold.

`STRUCTURES[name].parse(data)` and `.build(value)` are construct's own; `fields` says where each field is.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import construct as c
from construct import this

from ptzip.errors import FormatError
from ptzip.formats import npy
from ptzip.formats.legacy import COUNT
from ptzip.formats.signatures import SAFETENSORS_LENGTH, TAR_HEADER
from ptzip.mapping.meanings import EXTRA_FIELDS, MEANINGS, Meaning, no_meaning, zstd_dictionary_length, zstd_size_length
from ptzip.zip.structs import (
    FULL16,
    FULL32,
    LAYOUTS,
    LENGTH,
    PADDING_FIELD,
    ZIP64_FIELD,
    Descriptor,
    Descriptor64,
    End64,
)

Declaration = Any
"""A `construct.Construct`, which has no types."""


class Field(NamedTuple):
    """One field: where it is in the file, its bytes, its value, and what that means ("" where the value says it).

    A field with `value` None is made of the deeper fields that follow it.
    """

    name: str
    offset: int
    length: int
    raw: bytes
    value: object
    meaning: str
    depth: int


REST = "rest"
"""The name of bytes that are in a structure, or were given with it, and that no field explains."""


def fields(structure: str, data: bytes, base: int) -> list[Field]:
    """The fields of a structure with these bytes, at offset `base` of the file; those that are not made of others add up to it.

    Where a structure is cut off, or goes on beyond its end, the last field is `rest`. Raises FormatError where the bytes do not
    begin as the structure does, ValueError for a structure that `STRUCTURES` lacks.
    """
    if structure not in STRUCTURES:
        raise ValueError(f"unknown structure {structure!r}: expected one of {', '.join(STRUCTURES)}")
    trace, stream = _Trace(data, base), io.BytesIO(data)
    try:
        STRUCTURES[structure].parse_stream(stream, trace=trace)
        end, meaning = stream.tell(), f"after the {structure}"
    except c.ConstructError as error:
        end, meaning = trace.end, f"the {structure} is cut off"
        if not trace.fields:
            raise FormatError(f"expected a {structure} here", base) from error
    trace.drop_beyond(end)
    trace.add(len(trace.fields), REST, end, len(data), data[end:], meaning)
    return trace.fields


class _Trace:
    """The fields that were parsed so far; `depth` is that of the next one."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data, self.base = data, base
        self.fields: list[Field] = []
        self.depth = 0

    @property
    def end(self) -> int:
        """Where the last field ends in the data."""
        return self.fields[-1].offset + self.fields[-1].length - self.base if self.fields else 0

    def drop_beyond(self, start: int) -> None:
        """Forget what was parsed behind an offset and then taken back, as construct tries what is optional."""
        while self.end > start:
            self.fields.pop()

    def add(self, index: int, name: str, start: int, end: int, value: object, meaning: str) -> None:
        """Insert a field before those that it is made of, unless it has no bytes."""
        if start < end:
            own = None if index < len(self.fields) else value
            field = Field(name, self.base + start, end - start, self.data[start:end], own, meaning, self.depth)
            self.fields.insert(index, field)


class _Located(c.Renamed):  # type: ignore[misc]  # construct has no types
    """A field that a parse notes in its `trace`, if it has one."""

    def __init__(self, name: str, subcon: Declaration, meaning: Meaning = no_meaning) -> None:
        super().__init__(subcon, name)
        self.meaning = meaning

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        trace: _Trace | None = context._params.get("trace")
        if trace is None:
            return super()._parse(stream, context, path)
        start = stream.tell()
        trace.drop_beyond(start)
        index = len(trace.fields)
        trace.depth += 1
        try:
            value = super()._parse(stream, context, path)
            end, meaning = stream.tell(), self.meaning(value)
            return value
        except Exception:  # of this field, what is complete
            value, end, meaning = None, trace.end, "cut off"
            raise
        finally:
            trace.depth -= 1
            trace.add(index, self.name, start, end, value, meaning)


_WORDS = {"I": "L", "i": "l"}
"""What `struct` spells in two ways for 32 bits, and construct in one."""


def _declared(fields: str, magic: bytes = b"") -> Iterator[Declaration]:
    """The fields of a layout, of which the first may be a `magic` number."""
    for field in fields.split():
        name, width = field.split(":")
        kind = c.Bytes(int(width[:-1])) if width.endswith("s") else c.FormatField("<", _WORDS.get(width, width))
        yield _Located(name, c.Const(magic) if magic else kind, MEANINGS.get(field, no_meaning))
        magic = b""


def _one(field: str) -> Declaration:
    return next(_declared(field))


def _optional(condition: Any, field: str) -> Declaration:
    """A field that is there under a condition, unless the bytes end before it."""
    kind = _one(field)
    return kind.name / c.If(condition, c.Optional(kind))


_REST = _Located(REST, c.GreedyBytes)

_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _sized(name: str, length: Any) -> Declaration:
    """A number of 1, 2, 4 or 8 bytes, or none."""
    return c.Switch(length, {size: _one(f"{name}:{width}") for size, width in _WIDTHS.items()})


def _full(name: str) -> Any:
    """Whether a field of the header overflows, so that the zip64 field has it."""
    return lambda context: context._._._.get(name) == FULL32


_EXTRA_DATA = {
    # APPNOTE 4.5.3: only what overflows in the header, in this order
    ZIP64_FIELD: c.Struct(
        _optional(_full("size"), "size:Q"),
        _optional(_full("compressed_size"), "compressed_size:Q"),
        _optional(_full("offset"), "offset:Q"),
        _optional(lambda context: context._._._.get("disk") == FULL16, "disk:I"),
        _REST,
    ),
    # caffe2/serialize/inline_container.cc, getPadding: as many "Z" as align the data
    PADDING_FIELD: c.Struct(_Located("padding", c.GreedyBytes)),
    # Info-ZIP's extrafld.txt; a central entry has the flags of all times, and only the first
    0x5455: c.Struct(
        _one("times:B"),
        _optional(this.times & 1, "modified:i"),
        _optional(this.times & 2, "accessed:i"),
        _optional(this.times & 4, "created:i"),
        _REST,
    ),
    # APPNOTE 4.6.9: the CRC is that of the name in the header, which this one replaces
    0x7075: c.Struct(*_declared("version:B name_crc:I"), _Located("name", c.GreedyBytes)),
}
"""What is in an extra field, by its id."""

_EXTRA_FIELD = c.Struct(
    *_declared("id:H length:H"),
    "data" / c.FixedSized(this.length, c.Switch(this.id, _EXTRA_DATA, default=_Located("data", c.GreedyBytes))),
)
"""APPNOTE 4.5.1."""

_EXTRA = c.Struct(
    "fields" / c.GreedyRange(_Located("extra field", _EXTRA_FIELD, lambda value: EXTRA_FIELDS.get(value.id, "unknown"))), _REST
)


def _zip_structure(kind: type) -> Declaration:
    """A structure of a zip: its fixed part, then the bytes whose lengths are in that."""
    layout = LAYOUTS[kind]
    parts = [*_declared(layout.fields, layout.signature), *map(_counted, layout.counted)]
    if kind is End64:  # APPNOTE 4.3.14.1: its size leaves out the first 12 bytes
        parts.append(_Located("extensible_data", c.Bytes(lambda record: max(0, record.record_size + 12 - layout.size))))
    return c.Struct(*parts)


def _counted(name: str) -> Declaration:
    length = this[name + LENGTH]
    return _Located(name, c.FixedSized(length, _EXTRA) if name == "extra" else c.Bytes(length))


_ZIP = {layout.label: _zip_structure(kind) for kind, layout in LAYOUTS.items()} | {
    f"{LAYOUTS[kind].label} without signature": c.Struct(*_declared(LAYOUTS[kind].fields.partition(" ")[2]))
    for kind in (Descriptor, Descriptor64)  # APPNOTE 4.3.9.3: it was added later
}

_GNU_HEADER = (
    "atime:12s ctime:12s offset:12s longnames:4s unused:1s "
    + "".join(f"offset_{index}:12s size_{index}:12s " for index in range(1, 5))
    + "is_extended:1s real_size:12s padding:17s"
)
"""What GNU's `tar.h` has in place of a prefix: times, and the first parts of a sparse file."""

_TAR_FIELDS = [*_declared(TAR_HEADER.fields)]
_PREFIX = TAR_HEADER.names.index("prefix")

_TAR = {
    "tar header": c.Struct(
        *_TAR_FIELDS[:_PREFIX],
        "more" / c.IfThenElse(this.magic == b"ustar ", c.Struct(*_declared(_GNU_HEADER)), c.Struct(*_TAR_FIELDS[_PREFIX:])),
    ),
    # POSIX pax, "Extended Header": the length counts the whole record, itself included
    "pax records": c.Struct(
        "records"
        / c.GreedyRange(
            _Located(
                "record",
                c.Struct(
                    _Located("length", c.NullTerminated(c.GreedyBytes, term=b" ")),
                    _Located("key", c.NullTerminated(c.GreedyBytes, term=b"=")),
                    _Located("value", c.Bytes(lambda record: int(record.length) - len(record.length + record.key) - 3)),
                    _Located("end", c.Const(b"\n")),
                ),
            )
        ),
        _REST,
    ),
    "GNU long name": c.Struct(_Located("name", c.NullTerminated(c.GreedyBytes)), _REST),
}

# numpy/lib/format.py, _read_array_header
_NPY = c.Struct(
    *_declared(npy.START.fields, npy.MAGIC),
    "more"
    / c.Switch(
        lambda start: (start.major, start.minor),
        {
            version: c.Struct(_one(f"length:{counter.format[1:]}"), _Located("header", c.Bytes(this.length)))
            for version, (counter, _) in npy.VERSIONS.items()
        },
    ),
)

# RFC 1952 2.3
_GZIP = c.Struct(
    *_declared("magic:2s method:B flags:B mtime:I level:B system:B", b"\x1f\x8b"),
    "extra"
    / c.If(
        this.flags & 4,
        c.Struct(_one("length:H"), _Located("extra", c.Bytes(this.length))),
    ),
    "name" / c.If(this.flags & 8, _Located("name", c.NullTerminated(c.GreedyBytes))),
    "comment" / c.If(this.flags & 16, _Located("comment", c.NullTerminated(c.GreedyBytes))),
    "header_crc" / c.If(this.flags & 2, _one("header_crc:H")),
)

# RFC 8878 3.1.1.1
_ZSTD = c.Struct(
    *_declared("magic:4s descriptor:B", b"\x28\xb5\x2f\xfd"),
    "window" / c.If(lambda frame: not frame.descriptor & 32, _one("window:B")),
    "dictionary" / _sized("dictionary", lambda frame: zstd_dictionary_length(frame.descriptor)),
    "content_size" / _sized("content_size", lambda frame: zstd_size_length(frame.descriptor)),
)

STRUCTURES: Mapping[str, Declaration] = {
    **_ZIP,
    **_TAR,
    "safetensors header": c.Struct(_one(f"length:{SAFETENSORS_LENGTH.format[1:]}"), _Located("header", c.Bytes(this.length))),
    "npy header": _NPY,
    "legacy storage count": c.Struct(_one(f"count:{COUNT.format[1:]}")),
    "gzip header": _GZIP,
    "gzip trailer": c.Struct(*_declared("crc:I size:I")),
    "zstd frame header": _ZSTD,
}
"""Every structure by its name."""
