"""Hex dumps: the rows have exactly the bytes of the stretch, and belong to one part and one field each."""

import random

import pytest

from ptzip.errors import EditError, FormatError
from ptzip.io.sources import BytesSource
from ptzip.mapping.hexdump import DEFAULT_LENGTH, ROW, dump_rows, record_stretch, stretch
from ptzip.mapping.parts import file_parts, part_at
from ptzip.mapping.where import where
from tests.small_checkpoints import archive, training_records

DATA = archive(training_records())
SOURCE = BytesSource(DATA)
PARTS = list(file_parts(SOURCE))


@pytest.mark.parametrize("seed", range(50))
def test_the_rows_have_the_bytes_of_any_stretch(seed: int) -> None:
    start, stop = sorted(random.Random(seed).choices(range(len(DATA)), k=2))
    rows = list(dump_rows(SOURCE, PARTS, start, stop, random.Random(seed).choice((8, 16))))
    assert b"".join(row.data for row in rows) == DATA[start:stop]
    for row in rows:
        assert len(row.data) <= ROW
        assert row.part == part_at(PARTS, row.offset)
        assert DATA.startswith(row.data, row.offset)


def test_rows_without_fields_begin_at_multiples_of_16() -> None:
    pickle = next(part for part in PARTS if part.kind == "pickle")
    rows = list(dump_rows(SOURCE, PARTS, pickle.offset + 5, pickle.end))
    assert {row.offset % ROW for row in rows[1:]} == {0}


def test_each_field_of_a_header_begins_a_row() -> None:
    rows = list(dump_rows(SOURCE, PARTS, 0, PARTS[0].end))
    names = [row.field.name for row in rows if row.field]
    assert names[:4] == ["signature", "needed", "flags", "method"]
    assert names[-2:] == ["length", "padding"]


def test_a_record_is_found_with_and_without_its_folder() -> None:
    for name in ("last/data.pkl", "data.pkl"):
        start, stop = stretch(PARTS, where(name))
        assert DATA[start:stop] == training_records()["data.pkl"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [("10:20", (10, 30)), ("0x10", (16, 16 + DEFAULT_LENGTH)), (f"{len(DATA) - 3}:99", (len(DATA) - 3, len(DATA)))],
)
def test_a_stretch_is_an_offset_and_a_length(words: str, expected: tuple[int, int]) -> None:
    assert stretch(PARTS, where(words)) == expected


def test_of_several_records_of_a_name_the_first_is_found() -> None:
    data = archive(training_records())
    parts, twice = list(file_parts(BytesSource(data))), list(file_parts(BytesSource(data * 2)))
    assert record_stretch(twice, "data.pkl") == record_stretch(twice, "last/data.pkl") == record_stretch(parts, "data.pkl")
    first, stop = record_stretch(parts, "data.pkl")
    assert record_stretch(twice, "zip 2: last/data.pkl") == (first + len(data), stop + len(data))


def test_what_is_not_in_the_file_is_an_error() -> None:
    with pytest.raises(FormatError, match=f"there is no byte {len(DATA):,}: the file has {len(DATA):,}"):
        stretch(PARTS, where(str(len(DATA))))
    with pytest.raises(EditError, match=r"there is no record data\.pk"):
        stretch(PARTS, where("data.pk"))
