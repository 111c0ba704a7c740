"""Where zips end and begin: several in a row, bytes in front of them, and every end record that a reader may take."""

import tempfile

import pytest

from ptzip.errors import FormatError
from ptzip.io.payloads import BytesPayload, read_all
from ptzip.io.sources import BytesSource, Source
from ptzip.zip import structs
from ptzip.zip.find_archives import all_ends, find_end, is_zip, zips_in
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.reader import read_archive
from ptzip.zip.writer import Record, plan
from tests.torch_zips import zip_of


def torch_zip(name: str) -> bytes:
    """A zip with a zip64 end."""
    with tempfile.TemporaryFile() as file:
        plan([Record(name, BytesPayload(b"bytes"))]).write(file.fileno())
        file.seek(0)
        return file.read()


def names(zips: list[Source]) -> list[str]:
    return [entry.name for one in zips for entry in read_archive(one).entries]


@pytest.mark.parametrize("front", [b"", b"junk"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_zips_in_a_row_are_found_in_their_order(front: bytes, count: int) -> None:
    makers = (zip_of, torch_zip)
    data = front + b"".join(makers[number % 2](f"{number}/a") for number in range(count))
    zips, before = zips_in(BytesSource(data))
    assert names(zips) == [f"{number}/a" for number in range(count)]
    assert before == len(front)
    assert sum(one.size for one in zips) == len(data) - len(front)


def test_one_zip_is_its_source_itself() -> None:
    source = BytesSource(zip_of("a/b"))
    assert zips_in(source) == ([source], 0)


def test_a_source_without_an_end_record_holds_no_zip() -> None:
    assert zips_in(BytesSource(b"nothing of the kind")) == ([], 19)
    assert zips_in(BytesSource(b"")) == ([], 0)


def test_a_zip_whose_comment_is_cut_off_is_listed_and_cannot_be_read() -> None:
    data = bytearray(zip_of("a/b"))
    data[-2:] = b"\x10\x00"
    zips, before = zips_in(BytesSource(bytes(data)))
    assert (len(zips), before) == (1, 0)
    with pytest.raises(FormatError, match="the end of central directory record ends inside its comment"):
        read_archive(zips[0])


def test_the_end_that_counts_comes_first_of_all_ends() -> None:
    inner, outer = zip_of("inner/a"), bytearray(zip_of("outer/a"))
    outer[-2:] = len(inner).to_bytes(2, "little")
    source = BytesSource(bytes(outer) + inner)
    first, *others = all_ends(source)
    assert first == find_end(source) == source.size - structs.END_SIZE
    assert others == [len(outer) - structs.END_SIZE]
    assert is_zip(source)


def test_a_name_that_the_local_header_makes_longer_is_a_mismatch() -> None:
    """The extra field may give its bytes to the name, so that the data still begin where they did."""
    data = bytearray(torch_zip("a/data.pkl"))
    name, extra = structs.lengths(structs.LocalHeader, bytes(data))
    data[26:30] = (name + 2).to_bytes(2, "little") + (extra - 2).to_bytes(2, "little")
    (entry,) = read_archive(BytesSource(bytes(data))).entries
    assert read_all(entry.payload) == b"bytes"
    assert [(one.field, one.central, one.local) for one in mismatches(entry)] == [("name", "a/data.pkl", "a/data.pklFB")]
