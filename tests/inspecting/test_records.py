"""The records of a file: offset and size of each, and where its headers differ."""

import struct

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.inspecting.records import RecordRow, record_rows
from ptzip.io.sources import BytesSource
from ptzip.zip.header_mismatches import Mismatch
from tests.corpus import CORPUS, needs_corpus
from tests.small_checkpoints import archive, training_records

DATA = archive(training_records())


def rows(data: bytes) -> list[RecordRow]:
    with Checkpoint(BytesSource(data)) as checkpoint:
        return list(record_rows(checkpoint))


def test_every_record_is_listed_in_the_order_of_the_bytes() -> None:
    found = rows(DATA)
    assert [row.name for row in found] == [f"last/{name}" for name in training_records()]
    assert [row.offset for row in found] == sorted(row.offset for row in found)
    for row, data in zip(found, training_records().values(), strict=True):
        assert DATA[row.offset : row.offset + row.size] == data
        assert (row.method, row.stored, row.differences, row.note) == ("stored", len(data), (), "")


def test_torch_aligns_every_record_to_64_bytes() -> None:
    assert min(row.alignment for row in rows(DATA)) == 64
    assert RecordRow("", 4096 * 3, 1).alignment == 4096
    assert RecordRow("", 6, 1).alignment == 2
    assert RecordRow("", 1 << 20, 1).alignment == 4096


FIELDS = [
    ("needed", 4, "<H"),
    ("flags", 6, "<H"),
    ("method", 8, "<H"),
    ("time", 10, "<H"),
    ("date", 12, "<H"),
    ("crc", 14, "<I"),
]


@pytest.mark.parametrize(("field", "at", "layout"), FIELDS)
def test_a_local_header_that_differs_is_told(field: str, at: int, layout: str) -> None:
    data = bytearray(DATA)
    (before,) = struct.unpack_from(layout, data, at)
    struct.pack_into(layout, data, at, before ^ 0x10)
    central = rows(DATA)[0].crc if field == "crc" else before
    assert rows(bytes(data))[0].differences == (Mismatch(field, str(central), str(before ^ 0x10)),)


def test_a_local_name_that_differs_is_told() -> None:
    data = DATA.replace(b"last/data.pkl", b"evil/data.pkl", 1)
    assert rows(data)[0].differences == (Mismatch("name", "last/data.pkl", "evil/data.pkl"),)


def test_a_descriptor_that_differs_is_told() -> None:
    first = rows(DATA)[0]
    at = first.offset + first.size + 4
    data = DATA[:at] + b"\0\0\0\0" + DATA[at + 4 :]
    assert rows(data)[0].differences == (Mismatch("crc (descriptor)", str(first.crc), "0"),)


def test_a_record_without_a_local_header_is_told_and_does_not_stop_the_others() -> None:
    found = rows(DATA[: (at := rows(DATA)[5].header or 0)] + b"XX" + DATA[at + 2 :])
    assert "no local header" in found[5].note
    assert len(found) == len(training_records())


@needs_corpus
@pytest.mark.parametrize(
    ("name", "first"),
    [("t213/tied_legacy.pt", "magic number"), ("t213/safetensors_as.pt", "header")],
)
def test_other_formats_list_their_stretches(name: str, first: str) -> None:
    path = CORPUS / "format" / name
    with ptzip.open(path) as checkpoint:
        found = list(record_rows(checkpoint))
    assert first in [row.name for row in found]
    assert all(row.header is None for row in found)
