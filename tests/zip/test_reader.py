"""Reading a zip: what python's `zipfile` reads is read, and what is not a complete zip is refused before it costs anything.

The archives are made by `zipfile`, by ptzip's own writer where `zipfile` cannot make them, and spoilt by hand.
"""

import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.io import payloads
from ptzip.io import sources as source_module
from ptzip.io.payloads import BytesPayload, CheckedPayload, InflatedPayload, read_all
from ptzip.io.sources import CHUNK, BytesSource, FileSource
from ptzip.limits import Limits
from ptzip.zip import structs
from ptzip.zip.find_archives import is_zip
from ptzip.zip.reader import Archive, Entry, read_archive
from ptzip.zip.structs import DEFLATED, decode_name, encode_name, extra_fields
from tests import corpus

TEXT = b"to be compressed, " * 500
ENTRIES = {"last/data.pkl": b"\x80\x02N.", "last/data/0": bytes(range(256)) * 8, "last/empty": b"", "last/text": TEXT}

SHARDS = "dcp_shard.distcp"
"""Several zips one after another: no reader but that of torch's distributed checkpoints opens it, by offsets kept elsewhere."""


class Pipe(io.RawIOBase):
    """A stream that cannot go back, so that python writes data descriptors."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)

    def tell(self) -> int:
        raise io.UnsupportedOperation


def zipped(
    entries: dict[str, bytes] = ENTRIES, method: int = zipfile.ZIP_STORED, comment: bytes = b"", wide: bool = False
) -> bytes:
    """A zip as python writes it to a file, with zip64 fields in its local headers where it is `wide`."""
    stream = io.BytesIO()
    fill(zipfile.ZipFile(stream, "w", method), entries, comment, wide)
    return stream.getvalue()


def streamed(data: bytes, wide: bool = False) -> bytes:
    """A zip with a data descriptor, as python writes it to a pipe."""
    stream = Pipe()
    fill(zipfile.ZipFile(stream, "w"), {"a": data}, b"", wide)
    return stream.data


def fill(made: zipfile.ZipFile, entries: dict[str, bytes], comment: bytes, wide: bool) -> None:
    with made:
        for name, data in entries.items():
            with made.open(name, "w", force_zip64=wide) as file:
                file.write(data)
        made.comment = comment


def named(archive: Archive, name: str) -> Entry:
    """The first entry of a name."""
    return next(entry for entry in archive.entries if entry.name == name)


def opened(data: bytes) -> Archive:
    return read_archive(BytesSource(data))


def contents(found: Archive) -> dict[str, bytes]:
    return {entry.name: read_all(entry.payload) for entry in found.entries}


def spoilt(data: bytes, **fields: Any) -> bytes:
    """The same zip, with some fields of its first central entry changed."""
    found = opened(data)
    at, old = found.end.directory_offset, found.entries[0].central
    return data[:at] + structs.build(old._replace(**fields)) + data[at + len(structs.build(old)) :]


def with_end(data: bytes, **fields: Any) -> bytes:
    """The same zip, with some fields of its end record changed."""
    return data[: -structs.END_SIZE] + structs.build(opened(data).end._replace(**fields))


def first(data: bytes) -> Entry:
    return opened(data).entries[0]


def described(entry: Entry) -> tuple[object, ...]:
    return entry.name, entry.method, entry.crc, entry.compressed_size, entry.size, entry.header_offset


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes move seven at a time, so that every border is met."""
    monkeypatch.setattr(source_module, "CHUNK", 7)
    monkeypatch.setattr(payloads, "CHUNK", 7)


def is_whole_zip(path: Path) -> bool:
    return path.name != SHARDS and zipfile.is_zipfile(path)


ZIPS = [case for case in corpus.parameters("yolo", "format", "real") if is_whole_zip(case.values[0]) or case.marks]


def truth(path: Path) -> Iterator[tuple[object, ...]]:
    """What `zipfile` says of a file. It would refuse the CRC 0 that some savers write, so it is told of none."""
    with zipfile.ZipFile(path) as made:
        for info in made.infolist():
            crc, info.CRC = info.CRC, None  # type: ignore[assignment]
            facts = (info.orig_filename, info.compress_type, crc, info.compress_size, info.file_size, info.header_offset)
            yield *facts, made.read(info)


@pytest.mark.parametrize("path", ZIPS)
def test_every_zip_of_the_corpus_is_read_as_python_reads_it(path: Path) -> None:
    source = FileSource(path)
    found = read_archive(source)
    assert [(*described(entry), read_all(entry.payload)) for entry in found.entries] == list(truth(path))
    source.close()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"a comment", b"x" * 0xFFFF, b"PK\x05\x06 is no end"])
def test_a_zip_of_python_is_read_whole(method: int, comment: bytes) -> None:
    found = opened(zipped(method=method, comment=comment))
    assert contents(found) == ENTRIES
    assert found.end.comment == comment
    assert found.end64 is None


def test_entries_come_in_the_order_of_the_central_directory() -> None:
    assert [entry.name for entry in opened(zipped()).entries] == list(ENTRIES)


def test_zip64_fields_are_taken_where_a_value_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [described(entry) for entry in opened(zipped()).entries]
    for limit in (0, 5, 100, 3000):
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        found = opened(zipped(wide=True))
        assert [entry[:-1] for entry in map(described, found.entries)] == [entry[:-1] for entry in expected]
        assert contents(found) == ENTRIES
        assert any(entry.central.extra for entry in found.entries)
        assert found.end64 is not None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip64_sizes_are_those_of_the_field(monkeypatch: pytest.MonkeyPatch, method: int) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 0)
    entry = named(opened(zipped(method=method, wide=True)), "last/text")
    assert (entry.central.size, entry.central.compressed_size, entry.central.offset) == (0xFFFFFFFF,) * 3
    assert entry.size == len(TEXT)


def test_a_zip64_field_that_is_missing_or_short_is_a_format_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError, match="lacks its zip64 field") as caught:
        opened(spoilt(zipped(), size=0xFFFFFFFF))
    assert caught.value.offset == opened(zipped()).end.directory_offset
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    data = zipped({"a": TEXT}, wide=True)
    short = struct.pack("<HHQ", 1, 8, len(TEXT)) + b"\x00\x00\x04\x00fill"
    with pytest.raises(FormatError, match="lacks its zip64 field"):
        opened(spoilt(data, extra=short))


@pytest.mark.parametrize("count", [1, 100, 0xFFFF])
def test_bytes_behind_the_end_do_no_harm_up_to_64_kilobytes(count: int) -> None:
    assert contents(opened(zipped() + bytes(count))) == ENTRIES
    assert not is_zip(BytesSource(zipped() + bytes(count + 0x11000)))


def test_a_zip_that_is_cut_off_anywhere_is_none() -> None:
    data = zipped({"a": b"some bytes"})
    assert is_zip(BytesSource(data))
    for length in range(len(data)):
        source = BytesSource(data[:length])
        assert not is_zip(source)
        with pytest.raises(FormatError, match="not a complete zip"):
            read_archive(source)


def test_the_last_end_record_counts() -> None:
    inner = zipped({"inner": b"1"})
    assert opened(zipped({"outer": inner})).entries[0].name == "outer"
    with pytest.raises(FormatError):
        opened(
            zipped({"outer": b"2"}, comment=zipped({"another": b"12345"}))
        )  # torch (miniz) takes the last too, which is of another zip here


def test_entries_that_are_fewer_than_counted_are_a_format_error() -> None:
    data = zipped({"n" * 100: b""})
    with pytest.raises(FormatError, match="expected a complete central directory entry") as caught:
        opened(with_end(data, entries=2))
    assert caught.value.offset == len(data) - structs.END_SIZE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directory_offset": 0xFFFFFFF0}, "extends past its end record"),
        ({"directory_size": 0xFFFFFFF0}, "extends past its end record"),
        ({"entries": 5000}, "too small"),
        ({"entries": 5}, "too small"),
        ({"directory_offset": 0}, "expected a complete central directory entry"),
        ({"directory_size": 46 * 4}, "."),
    ],
)
def test_a_central_directory_that_is_not_there_is_a_format_error(fields: dict[str, int], message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        opened(with_end(zipped(), **fields))
    assert caught.value.offset is not None


def test_a_central_directory_that_is_too_large_is_a_limit_error() -> None:
    data = zipped()
    size = opened(data).end.directory_size
    assert read_archive(BytesSource(data), Limits(directory_bytes=size)).entries
    with pytest.raises(LimitError, match="central directory"):
        read_archive(BytesSource(data), Limits(directory_bytes=size - 1))


def zip64_ends(data: bytes, locator: int, end64: bytes) -> bytes:
    """The zip with a zip64 end and its locator before its end record."""
    body, end = data[: -structs.END_SIZE], data[-structs.END_SIZE :]
    return body + end64 + structs.build(structs.Locator64(0, locator, 1)) + end


def end64_of(data: bytes) -> structs.End64:
    end = opened(data).end
    return structs.End64(44, 45, 45, 0, 0, end.entries, end.entries, end.directory_size, end.directory_offset)


def test_the_zip64_end_counts_where_there_is_one() -> None:
    data = zipped()
    whole = zip64_ends(data, len(data) - structs.END_SIZE, structs.build(end64_of(data)))
    assert contents(opened(with_end(whole, entries=1, directory_size=0, directory_offset=0))) == ENTRIES


@pytest.mark.parametrize(
    ("place", "message"),
    [(-1, "expected a complete zip64 end of central directory record"), (1, "past itself"), (1 << 63, "past itself")],
)
def test_a_zip64_locator_that_points_elsewhere_is_a_format_error(place: int, message: str) -> None:
    data = zipped()
    wrong = zip64_ends(data, len(data) - structs.END_SIZE + place, structs.build(end64_of(data)))
    with pytest.raises(FormatError, match=message):
        opened(wrong)


@pytest.mark.parametrize("field", ["directory_offset", "directory_size", "entries"])
def test_a_zip64_end_with_huge_numbers_costs_nothing(field: str) -> None:
    data = zipped()
    end64 = end64_of(data)._replace(**{field: (1 << 64) - 1})
    with pytest.raises(FormatError):
        opened(zip64_ends(data, len(data) - structs.END_SIZE, structs.build(end64)))


def test_an_entry_that_begins_past_the_entries_is_a_format_error() -> None:
    data = zipped()
    with pytest.raises(FormatError, match="past the entries"):
        opened(spoilt(data, offset=opened(data).end.directory_offset))


def test_an_entry_without_a_local_header_is_a_format_error() -> None:
    entry = first(spoilt(zipped(), offset=3))
    with pytest.raises(FormatError, match="has no local header") as caught:
        _ = entry.payload
    assert caught.value.offset == 3


def test_an_entry_that_ends_past_the_file_is_a_format_error() -> None:
    size = len(zipped())
    with pytest.raises(FormatError, match="past the end of the file"):
        _ = first(spoilt(zipped(), compressed_size=size, size=size)).payload


def test_a_stored_entry_of_two_sizes_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="its sizes are 4 and 5"):
        _ = first(spoilt(zipped(), size=5)).payload


@pytest.mark.parametrize("method", [1, 12, 14, 93, 0xFFFF])
def test_other_methods_are_unsupported(method: int) -> None:
    with pytest.raises(UnsupportedError, match=f"last/data.pkl is compressed by method {method}"):
        _ = first(spoilt(zipped(), method=method)).payload


def test_encrypted_entries_are_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="encrypted"):
        _ = first(spoilt(zipped(), flags=1)).payload


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80", "模型/0".encode(), b"a\x00b"])
def test_a_name_is_text_that_turns_into_the_same_bytes(name: bytes) -> None:
    data = zipped({"n" * len(name): b"x"})
    entry = first(spoilt(data, name=name))
    assert encode_name(entry.name) == name
    assert decode_name(name) == entry.name


def test_entries_of_one_name_are_kept_in_their_order() -> None:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as made:
        warnings.simplefilter("ignore")
        made.writestr("a", b"first")
        made.writestr("a", b"second")
    found = opened(stream.getvalue())
    assert len(found.entries) == 2
    assert read_all(named(found, "a").payload) == b"first"


def deflated(data: bytes, size: int | None = None) -> InflatedPayload:
    packed = zlib.compress(data, wbits=-zlib.MAX_WBITS)
    return InflatedPayload(BytesPayload(packed), len(data) if size is None else size, "record")


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize(("start", "stop"), [(0, len(TEXT)), (0, 0), (3, 4), (6, 15), (100, len(TEXT))])
def test_any_part_of_a_deflated_entry_streams(start: int, stop: int) -> None:
    chunks = list(deflated(TEXT).chunks(start, stop))
    assert b"".join(chunks) == TEXT[start:stop]
    assert all(chunks)


def test_a_deflated_entry_comes_in_chunks_however_well_it_was_compressed() -> None:
    lengths = [len(chunk) for chunk in deflated(bytes(5 * CHUNK + 5)).chunks(0, 5 * CHUNK + 5)]
    assert sum(lengths) == 5 * CHUNK + 5
    assert max(lengths) <= CHUNK


def bomb(size: int) -> bytes:
    """Raw deflate of `size` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(CHUNK)
    return b"".join(packer.compress(zeros) for _ in range(size // CHUNK)) + packer.flush()


def test_a_bomb_is_a_format_error_before_its_bytes_are_made() -> None:
    packed = InflatedPayload(BytesPayload(bomb(64 * CHUNK)), 1000, "record")
    tracemalloc.start()
    with pytest.raises(FormatError, match="record inflates to more than its 1000 bytes"):
        read_all(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CHUNK


@pytest.mark.parametrize("size", [0, 1, len(TEXT) - 1])
def test_an_entry_that_inflates_to_more_than_promised_is_a_format_error(size: int) -> None:
    with pytest.raises(FormatError, match=f"more than its {size} bytes"):
        read_all(deflated(TEXT, size))


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize("size", [6, 7, 8, 100, len(TEXT) - 1])
def test_an_entry_gives_none_of_the_bytes_beyond_its_promise(size: int) -> None:
    given: list[bytes] = []
    with pytest.raises(FormatError, match="inflates to more"):
        given.extend(deflated(TEXT, size).chunks(0, size))
    assert TEXT.startswith(b"".join(given))
    assert len(b"".join(given)) <= size


def test_an_entry_that_inflates_to_less_than_promised_is_a_format_error() -> None:
    with pytest.raises(FormatError, match=f"inflates to {len(TEXT)} bytes, expected {len(TEXT) + 1}"):
        read_all(deflated(TEXT, len(TEXT) + 1))


def test_a_deflated_entry_that_is_cut_off_is_a_format_error() -> None:
    whole = zlib.compress(TEXT, wbits=-zlib.MAX_WBITS)
    for length in range(len(whole) - 3):
        with pytest.raises(FormatError):
            read_all(InflatedPayload(BytesPayload(whole[:length]), len(TEXT), "record"))


def test_what_is_no_deflate_stream_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="record is not a deflate stream"):
        read_all(InflatedPayload(BytesPayload(b"\xff" * 50), 50, "record"))


def test_a_deflated_entry_is_told_by_its_method() -> None:
    entry = named(opened(zipped(method=zipfile.ZIP_DEFLATED)), "last/text")
    assert entry.method == DEFLATED
    assert not entry.payload.seekable
    assert entry.stored.length == entry.compressed_size < entry.size


def test_the_descriptor_behind_the_data_is_read() -> None:
    entry = first(streamed(TEXT))
    assert entry.descriptor == structs.Descriptor(zlib.crc32(TEXT), len(TEXT), len(TEXT))
    assert first(zipped()).descriptor is None


def test_a_descriptor_that_is_not_there_is_a_format_error() -> None:
    data = streamed(TEXT).replace(structs.DESCRIPTOR_SIGNATURE, b"none")
    with pytest.raises(FormatError, match="expected a complete data descriptor"):
        _ = first(data).descriptor


def test_a_descriptor_past_the_end_of_everything_is_a_format_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    data = streamed(TEXT, wide=True)
    extra = struct.pack("<HHQQ", 1, 16, 1 << 63, 1 << 63)
    (tmp_path / "far.zip").write_bytes(spoilt(data, size=0xFFFFFFFF, compressed_size=0xFFFFFFFF, extra=extra))
    source = FileSource(tmp_path / "far.zip")
    with pytest.raises(FormatError, match="ends early"):
        _ = read_archive(source).entries[0].descriptor
    source.close()


@pytest.mark.parametrize(
    ("extra", "fields"),
    [
        (b"", {}),
        (b"FB\x02\x00ZZ", {0x4246: b"ZZ"}),
        (b"\x01\x00\x00\x00FB\x01\x00Z", {1: b"", 0x4246: b"Z"}),
        (b"\x01\x00\x02\x00aa\x01\x00\x02\x00bb", {1: b"aa"}),
        (b"\x01\x00\x09\x00cut", {1: b"cut"}),
        (b"\x01\x00\x01\x00a???", {1: b"a"}),
    ],
)
def test_extra_fields_are_told_apart_as_far_as_they_can_be(extra: bytes, fields: dict[int, bytes]) -> None:
    assert extra_fields(extra) == fields


def test_a_payload_that_passed_whole_tells_whether_its_crc_was_right() -> None:
    for expected, is_wrong in ((zlib.crc32(TEXT), False), (1, True)):
        payload = CheckedPayload(BytesPayload(TEXT), "record", expected)
        list(payload.chunks(100, payload.length))
        assert not payload.is_wrong()  # not all bytes have passed
        assert b"".join(payload.chunks(0, 100)) == TEXT[:100]
        assert payload.is_wrong() is is_wrong
