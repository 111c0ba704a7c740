"""The binary structures of checkpoints, declared field by field; a declaration parses, builds, and locates each field.

Names and widths come from the layouts that the readers use (`ptzip.zip.structs.LAYOUTS`, `ptzip.formats.signatures.TAR_LAYOUT`
and so on); what is added here is what a layout cannot say: fields in fields, repeated and conditional ones. A declaration
describes and does not judge: it takes any value that its bytes can hold.

`STRUCTURES[name].parse(data)` and `.build(value)` are construct's own; `fields` says where each field is.
"""

import io
from collections.abc import Mapping

import construct as c
from construct import this

from ptzip.errors import FormatError
from ptzip.formats import npy
from ptzip.formats.legacy import COUNT, PICKLES
from ptzip.formats.signatures import SAFETENSORS_LENGTH, TAR_LAYOUT
from ptzip.mapping.compressed_claims import (
    COMMENT,
    EXTRA,
    HEADER_CRC,
    NAME,
    SINGLE_SEGMENT,
    content_size_length,
    dictionary_length,
)
from ptzip.mapping.fields import REST, Field, Trace
from ptzip.mapping.located import (
    PICKLE,
    Declaration,
    Located,
    counter,
    declared,
    matching,
    one,
    optional,
    raw,
    repeated,
    sized,
    up_to,
)
from ptzip.mapping.meanings import EXTRA_FIELDS, text
from ptzip.zip.structs import FULL16, FULL32, LAYOUTS, LENGTH, PADDING_FIELD, ZIP64_FIELD, Descriptor, Descriptor64, End64


def fields(structure: str, data: bytes, base: int) -> list[Field]:
    """The fields of a structure with these bytes, at offset `base` of the file; those that are not made of others add up to it.

    Where the bytes go on behind the structure, the last field is `rest`; also where it is cut off, and then `rest` may have no
    bytes. Raises FormatError where the bytes do not begin as the structure does, ValueError for one that `STRUCTURES` lacks.
    """
    if structure not in STRUCTURES:
        raise ValueError(f"unknown structure {structure!r}: expected one of {', '.join(STRUCTURES)}")
    trace, stream = Trace(data, base), io.BytesIO(data)
    if not data:
        raise FormatError(f"expected a {structure} here, found no bytes", base)
    try:
        STRUCTURES[structure].parse_stream(stream, trace=trace)
    except c.ConstructError as error:
        if not trace.fields:
            raise FormatError(f"expected a {structure} here", base) from error
        end = trace.end
        return [
            *trace.fields,
            Field(REST, base + end, len(data) - end, data[end:], data[end:], f"the {structure} is cut off", 0),
        ]
    trace.drop_beyond(stream.tell())
    trace.add(len(trace.fields), REST, trace.end, len(data), data[trace.end :], f"after the {structure}")
    return trace.fields


# Zip: PKWARE's APPNOTE 6.3.10


def _overflows(name: str, full: int = FULL32) -> Declaration:
    """Whether a field of the header that has the zip64 field says that the value is there."""
    return lambda zip64: zip64._._._.get(name) == full


EXTRA_DATA = {
    # APPNOTE 4.5.3: only what overflows in the header, in this order
    ZIP64_FIELD: c.Struct(
        optional(_overflows("size"), "size:Q"),
        optional(_overflows("compressed_size"), "compressed_size:Q"),
        optional(_overflows("offset"), "offset:Q"),
        optional(_overflows("disk", FULL16), "disk:I"),
        raw(REST),
    ),
    # torch's caffe2/serialize/inline_container.cc, getPadding: as many "Z" as align the data
    PADDING_FIELD: c.Struct(raw("padding")),
    # Info-ZIP's extrafld.txt; a central entry has the flags of all times, and only the first
    0x5455: c.Struct(
        one("times:B"),
        optional(this.times & 1, "modified:i"),
        optional(this.times & 2, "accessed:i"),
        optional(this.times & 4, "created:i"),
        raw(REST),
    ),
    # APPNOTE 4.6.8 and 4.6.9: the CRC is that of the text in the header, which this text replaces
    0x6375: c.Struct(*declared("version:B comment_crc:I"), raw("comment")),
    0x7075: c.Struct(*declared("version:B name_crc:I"), raw("name")),
}
"""What is in an extra field, by its id."""

_EXTRA = repeated(
    "extra field",
    *declared("id:H length:H"),  # APPNOTE 4.5.1
    "data" / c.FixedSized(this.length, c.Switch(this.id, EXTRA_DATA, default=raw("data"))),
    meaning=lambda field: EXTRA_FIELDS.get(field.id, "unknown"),
)


def _counted(name: str) -> Declaration:
    """The bytes of a name, whose length is a number before."""
    length = this[name + LENGTH]
    return Located(name, c.FixedSized(length, _EXTRA)) if name == "extra" else raw(name, length)


def _zip_structure(kind: type) -> Declaration:
    layout = LAYOUTS[kind]
    parts = [*declared(layout.fields, layout.signature), *map(_counted, layout.counted)]
    if kind is End64:  # APPNOTE 4.3.14.1: its size leaves out the first 12 bytes
        parts.append(raw("extensible_data", lambda end: max(0, end.record_size + 12 - layout.size)))
    return c.Struct(*parts)


ZIP = {layout.label: _zip_structure(kind) for kind, layout in LAYOUTS.items()} | {
    f"{LAYOUTS[kind].label} without signature": c.Struct(*declared(LAYOUTS[kind].fields.partition(" ")[2]))
    for kind in (Descriptor, Descriptor64)  # APPNOTE 4.3.9.3: the signature came later
}

# Tar: POSIX (`pax`), and GNU's `tar.h`, which has times and the first parts of a sparse file in place of a prefix

_TAR_FIELDS = [*declared(TAR_LAYOUT.fields)]
_PREFIX = TAR_LAYOUT.names.index("prefix")
_GNU_FIELDS = declared(
    "atime:12s ctime:12s offset:12s longnames:4s unused:1s "
    "offset_1:12s size_1:12s offset_2:12s size_2:12s offset_3:12s size_3:12s offset_4:12s size_4:12s "
    "is_extended:1s real_size:12s padding:17s"
)
_PAX_RECORDS = repeated(
    "record",
    Located("length", up_to(b" ")),  # of the whole record, itself included
    Located("key", up_to(b"=")),
    raw("value", lambda record: int(record.length) - len(record.length + record.key) - 1),
    Located("end", c.Const(b"\n")),
    meaning=lambda record: text(record.key[:-1]),
)

TAR = {
    "tar header": c.Struct(
        *_TAR_FIELDS[:_PREFIX],
        "more" / c.IfThenElse(this.magic == b"ustar ", c.Struct(*_GNU_FIELDS), c.Struct(*_TAR_FIELDS[_PREFIX:])),
    ),
    "pax records": _PAX_RECORDS,
    "GNU long name": c.Struct(Located("name", matching(rb"[^\0]*+\0?"), text), raw(REST)),
}

# Tensors in other files: safetensors' README, numpy's `lib/format.py`

_JSON_TEXT = rb'"(?:[^"\\]|\\.)*+"'
_JSON_ENTRIES = repeated(
    "entry",
    Located("before", matching(rb"[\s{,]*+")),
    Located("name", matching(_JSON_TEXT)),
    Located("colon", matching(rb"\s*+:\s*+")),
    Located("value", matching(rb"\{(?:[^{}\"]|" + _JSON_TEXT + rb")*+\}")),
    meaning=lambda entry: text(entry.name[1:-1]),
)

_NPY_LENGTHS = {
    version: c.Struct(counter("length", packer), raw("header", this.length)) for version, (packer, _) in npy.VERSIONS.items()
}

ARRAYS = {
    "safetensors header": c.Struct(
        counter("length", SAFETENSORS_LENGTH),
        Located("header", c.FixedSized(this.length, _JSON_ENTRIES)),
    ),
    "npy header": c.Struct(
        *declared(npy.START.fields, npy.MAGIC),
        "more" / c.Switch(lambda start: (start.major, start.minor), _NPY_LENGTHS),
    ),
}

# The stream that torch wrote before 1.6: torch/serialization.py, _legacy_save

LEGACY = {
    "legacy stream head": c.Struct(*(Located(name, PICKLE) for name in PICKLES)),
    "legacy storage count": c.Struct(counter("count", COUNT)),
}

# Compressions: RFC 1952 (gzip), RFC 8878 (zstd)

_GZIP_SUBFIELDS = repeated("field", *declared("id:2s length:H"), raw("data", this.length))
_GZIP_EXTRA = Located("extra", c.FixedSized(this.extra_length, _GZIP_SUBFIELDS))

COMPRESSIONS = {
    "gzip header": c.Struct(
        *declared("magic:2s method:B flags:B mtime:I level:B system:B", b"\x1f\x8b"),
        "extra_length" / c.If(this.flags & EXTRA, one("extra_length:H")),
        "extra" / c.If(this.flags & EXTRA, _GZIP_EXTRA),
        "name" / c.If(this.flags & NAME, Located("name", up_to(b"\0"), text)),
        "comment" / c.If(this.flags & COMMENT, Located("comment", up_to(b"\0"), text)),
        "header_crc" / c.If(this.flags & HEADER_CRC, one("header_crc:H")),
    ),
    "gzip trailer": c.Struct(*declared("crc:I size:I")),
    "zstd frame header": c.Struct(
        *declared("magic:4s descriptor:B", b"\x28\xb5\x2f\xfd"),
        "window" / c.If(lambda frame: not frame.descriptor & SINGLE_SEGMENT, one("window:B")),
        sized("dictionary", lambda frame: dictionary_length(frame.descriptor)),
        sized("content_size", lambda frame: content_size_length(frame.descriptor)),
    ),
    "zstd skippable frame": c.Struct(*declared("magic:I size:I"), raw("data", this.size)),
    "zstd checksum": c.Struct(one("checksum:I")),
}

# An item of torch.distributed.checkpoint, at an offset that `.metadata` has for it: a zip, `stream.zstd` around one, or bytes

DISTRIBUTED = {
    "DCP item": c.Select(
        c.Struct(Located("first record", ZIP["local header"]), raw(REST)),
        c.Struct(Located("zstd frame", COMPRESSIONS["zstd frame header"]), raw(REST)),
        c.Struct(raw("bytes")),
    )
}

STRUCTURES: Mapping[str, Declaration] = {**ZIP, **TAR, **ARRAYS, **LEGACY, **COMPRESSIONS, **DISTRIBUTED}
"""Every structure by its name."""
