"""Where torch.save puts the records of its zip: offsets computed from names and lengths alone.

torch aligns every record by the length of what precedes it (`caffe2/serialize/inline_container.cc`), so the offsets of a file
follow from its pickle. They are exact for files of torch 1.6 and later that no other program has rewritten.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ptzip.formats.container import Part
from ptzip.formats.torchzip import (
    BYTEORDER,
    FORMAT_VERSION,
    MOST_ALIGNMENT,
    SERIALIZATION_ID,
    STORAGE_ALIGNMENT,
    STORAGES,
    VERSION,
    TorchZip,
    prefix_of,
)
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import BytesPayload, Payload, read_all
from ptzip.io.sources import Source
from ptzip.zip import structs, writer
from ptzip.zip.writer import ALIGNMENT, Record, ZipLayout

if TYPE_CHECKING:
    from ptzip.zip.header_search import FoundLocal

ID_LENGTH = 40
"""The digits of the serialization id, which torch 2.1 and later write as the last record."""

MOST_SMALL = 1 << 12
"""Records other than the pickle and the storages are shorter, in bytes."""


class LengthOnly(NamedTuple):
    """A payload of which only the length is known."""

    length: int
    seekable: bool = True

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        raise NotImplementedError("only the length of these bytes is known")


def computed_layout(container: TorchZip) -> ZipLayout:
    """Where torch computes the records of a zip to be, from the order and the lengths of its entries."""
    entries = container.archive.entries
    records = [Record(entry.name, LengthOnly(entry.compressed_size), entry.method, entry.size) for entry in entries]
    return writer.plan(records, container.alignment)


def expected_layout(source: Source, name: str, start: int, stop: int, part: Part) -> ZipLayout:
    """Where torch put every record of a zip without a directory, from its pickle `name`, the bytes `start` to `stop`."""
    prefix = prefix_of(name)
    small = {record.name[len(prefix) :]: record for record in _small_records(source, prefix, stop)}
    sizes = {key: storage.size for key, storage in part.storages.items()}
    keys = list(sizes) if FORMAT_VERSION in small else sorted(sizes)  # torch 2.7 and later keep the order of the pickle
    records = [Record(name, LengthOnly(stop - start)), *small.values()]
    records += [Record(f"{prefix}{STORAGES}{key}", LengthOnly(sizes[key])) for key in keys]
    records.append(Record(prefix + VERSION, LengthOnly(2)))
    if BYTEORDER in small:
        records.append(Record(prefix + SERIALIZATION_ID, LengthOnly(ID_LENGTH)))
    alignment = valid_alignment(read_all(small[STORAGE_ALIGNMENT].payload)) if STORAGE_ALIGNMENT in small else None
    return writer.plan(records, alignment or ALIGNMENT)


def valid_alignment(text: bytes) -> int | None:
    """The alignment that a record `.storage_alignment` gives, or None where it is no usable number."""
    digits = text.strip()
    return int(digits) if digits.isdigit() and 0 < int(digits) <= MOST_ALIGNMENT else None


def header_at(source: Source, at: int) -> "FoundLocal | None":
    """The local header at an offset, or None where there is none or only a part of one."""
    from ptzip.zip.header_search import local_at  # here, since only damaged files need it

    local = local_at(source, at)
    return local if local is not None and source.read(at, 4) == structs.LOCAL_SIGNATURE else None


def _small_records(source: Source, prefix: str, end: int) -> Iterator[Record]:
    """The records between the pickle, which ends at `end`, and the storages or the version; each is followed by its descriptor.

    One that the file is cut off in has no bytes.
    """
    at = end + structs.DESCRIPTOR_SIZE
    while (local := header_at(source, at)) is not None:
        if local.name == prefix + VERSION or local.name.startswith(prefix + STORAGES):
            return
        data = source.read(local.data, min(MOST_SMALL, source.size - local.data)) if local.data < source.size else b""
        length = data.find(structs.DESCRIPTOR_SIGNATURE)
        if length < 0 and len(data) == MOST_SMALL:
            return
        payload: Payload = BytesPayload(data[: max(length, 0)])
        yield Record(local.name, payload)
        at = local.data + payload.length + structs.DESCRIPTOR_SIZE
