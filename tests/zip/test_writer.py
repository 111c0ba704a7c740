"""Writing a zip as torch does: every byte around the payloads is the one that `PyTorchStreamWriter` writes.

The bytes are spelled out here a second time. Records beyond 4 GiB are planned and written without their bytes, and read
back from the rest.
"""

import io
import random
import struct
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.errors import FormatError
from ptzip.io import payloads, workers
from ptzip.io.atomic_output import new_files
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import BytesPayload, SlicePayload
from ptzip.io.sources import CHUNK, STRIPE
from ptzip.zip import structs, writer
from ptzip.zip.reader import read_archive
from ptzip.zip.structs import DEFLATED, decode_name, encode_name
from ptzip.zip.writer import Placed, Record, plan

GIB = 1 << 30
FULL = 0xFFFFFFFF


def written(records: Sequence[Record], alignment: int = 64) -> bytes:
    """The file that is written of some records."""
    planned = plan(records, alignment)
    with tempfile.TemporaryFile() as file:
        planned.write(file.fileno())
        file.seek(0)
        return file.read()


def stored(data: dict[str, bytes]) -> list[Record]:
    return [Record(name, BytesPayload(content)) for name, content in data.items()]


def local(name: bytes, flags: int, extra: bytes) -> bytes:
    return b"PK\x03\x04" + struct.pack("<5H3I2H", 0, flags, 0, 0, 0, 0, 0, 0, len(name), len(extra)) + name + extra


def central(name: bytes, flags: int, crc: int, size: int, offset: int) -> bytes:
    return (
        b"PK\x01\x02" + struct.pack("<6H3I5H2I", 0, 0, flags, 0, 0, 0, crc, size, size, len(name), 0, 0, 0, 0, 0, offset) + name
    )


def ends(count: int, size: int, offset: int) -> bytes:
    end64 = b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 798, 45, 0, 0, count, count, size, offset)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, offset + size, 1)
    return end64 + locator + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, size, offset, 0)


def test_a_file_is_the_bytes_that_torch_writes() -> None:
    data = b"\x80\x02N."
    crc = zlib.crc32(data)
    first = local(b"a/data.pkl", 0x0808, b"FB\x14\x00" + b"Z" * 20)
    tail = b"PK\x07\x08" + struct.pack("<3I", crc, 4, 4)
    second = local(b"a/data/0", 0x0800, b"FB\x02\x00ZZ")
    entries = central(b"a/data.pkl", 0x0808, crc, 4, 0) + central(b"a/data/0", 0x0800, 0, 0, 84)
    assert len(first) == 64
    assert (84 + len(second)) % 64 == 0
    expected = first + data + tail + second + entries + ends(2, len(entries), 128)
    assert written(stored({"a/data.pkl": data, "a/data/0": b""})) == expected


def test_padding_that_fits_without_a_byte_still_has_its_field() -> None:
    (placed,) = plan(stored({"n" * 30: b"x"})).placed
    assert placed.head.endswith(b"nFB\x00\x00")
    assert placed.data_offset == 64


contents = st.dictionaries(
    st.text(min_size=1, max_size=80).filter(lambda name: name.isprintable()), st.binary(max_size=300), max_size=6
)


@settings(max_examples=30)
@given(contents, st.sampled_from([1, 2, 64, 512, 4096, 1 << 15]))
def test_every_payload_begins_at_a_multiple_of_the_alignment(data: dict[str, bytes], alignment: int) -> None:
    planned = plan(stored(data), alignment)
    assert all(placed.data_offset % alignment == 0 for placed in planned.placed)
    assert planned.size == len(written(stored(data), alignment))


@given(contents)
def test_python_reads_what_was_written(data: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(written(stored(data)))) as made:
        assert made.testzip() is None
        assert {info.orig_filename: made.read(info) for info in made.infolist()} == data


def test_nothing_at_all_is_an_empty_zip() -> None:
    assert written([]) == ends(0, 0, 0)


def test_a_deflated_record_is_copied_as_it_lies() -> None:
    text = b"compressed " * 1000
    packed = zlib.compress(text, wbits=-zlib.MAX_WBITS)
    data = written([Record("a/code.py", BytesPayload(packed), DEFLATED, len(text), zlib.crc32(text))])
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        assert made.testzip() is None
        assert made.read("a/code.py") == text
        assert made.infolist()[0].extract_version == 20


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1])
def test_a_given_crc_is_written_in_place_of_the_real_one(tmp_path: Path, size: int) -> None:
    with new_files([tmp_path / "out.pt"]) as files:
        files.outputs[0].write(plan([Record("a", BytesPayload(bytes(size)), crc=0)]))
    with (tmp_path / "out.pt").open("rb") as file:
        info = zipfile.ZipFile(file).infolist()[0]
        file.seek(64 + size)
        assert info.CRC == 0
        assert file.read(16) == b"PK\x07\x08" + struct.pack("<3I", 0, size, size)


def test_more_entries_than_the_end_record_can_count_are_in_the_zip64_end() -> None:
    found = writer._ends(0x10000, 77, 99)
    assert struct.unpack_from("<2Q", found, 24) == (0x10000, 0x10000)
    assert struct.unpack("<4H2IH", found[-18:]) == (0, 0, 0xFFFF, 0xFFFF, 77, 99, 0)


@pytest.mark.parametrize("name", [b"plain", "模型".encode(), b"\xff\xfe", b"\xed\xa0\x80"])
def test_a_name_is_written_as_the_bytes_that_were_read(name: bytes) -> None:
    assert encode_name(decode_name(name)) == name
    assert written([Record(decode_name(name), BytesPayload(b""))])[30 : 30 + len(name)] == name


@dataclass(frozen=True)
class Zeros:
    """A payload that is never in memory. Its chunks are larger than the rule allows, to be done sooner."""

    length: int
    seekable = False

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        view = memoryview(bytes(16 * CHUNK))
        while start < stop:
            yield view[: stop - start]
            start += len(view)


def placed(*sizes: int) -> tuple[Placed, ...]:
    """Where records of these sizes come to lie; the first is called "0", and so on."""
    return plan([Record(str(index), Zeros(size)) for index, size in enumerate(sizes)]).placed


def wide_head(name: bytes, flags: int, zip64: bytes, offset: int) -> bytes:
    """A whole local header with a zip64 field and the padding: all sizes outside of the field are 0."""
    pad = -(offset + 30 + len(name) + len(zip64) + 4) % 64
    return local(name, flags, zip64 + b"FB" + struct.pack("<H", pad) + b"Z" * pad)


def test_a_size_of_four_gigabytes_is_in_a_zip64_field_whose_compressed_size_is_zero() -> None:
    (item,) = placed(5 * GIB)
    assert item.head == wide_head(b"0", 0x0808, struct.pack("<HHQQ", 1, 16, 5 * GIB, 0), 0)


def test_an_offset_of_four_gigabytes_is_in_a_zip64_field_of_its_own_form() -> None:
    _, item, empty = placed(5 * GIB, 10, 0)
    assert item.offset >= 5 * GIB
    assert item.head == wide_head(b"1", 0x0808, struct.pack("<HHQ", 1, 8, item.offset), item.offset)
    assert empty.head == wide_head(b"2", 0x0800, struct.pack("<HHQ", 1, 8, empty.offset), empty.offset)


def test_size_and_offset_of_four_gigabytes_share_a_zip64_field() -> None:
    _, item = placed(5 * GIB, 6 * GIB)
    assert item.head == wide_head(b"1", 0x0808, struct.pack("<HHQQQ", 1, 24, 6 * GIB, 0, item.offset), item.offset)


@pytest.mark.parametrize(("size", "descriptor"), [(0, 0), (1, 16), (FULL - 1, 16), (FULL, 24), (FULL + 1, 24)])
def test_a_descriptor_is_wide_from_the_first_size_that_does_not_fit(size: int, descriptor: int) -> None:
    first, second = placed(size, 1)
    assert second.offset == first.end == first.data_offset + size + descriptor
    assert (b"\x01\x00\x10\x00" in first.head) == (size >= FULL)


def test_a_descriptor_is_wide_too_where_only_the_offset_does_not_fit() -> None:
    _, item, empty, last = placed(5 * GIB, 1, 0, 1)
    assert item.end - item.data_offset == 1 + 24
    assert empty.end == empty.data_offset
    assert last.end - last.data_offset == 1 + 24


@pytest.mark.parametrize("short", [0, 1])
def test_an_offset_is_wide_from_the_first_that_does_not_fit(short: int) -> None:
    first = FULL - 64 - 16 - short  # its header takes 64 bytes, its descriptor 16
    _, item = placed(first, 1)
    assert item.offset == FULL - short
    assert (b"\x01\x00\x08\x00" in item.head) == (not short)


@dataclass
class Rest:
    """The bytes of a file, as they were written; of large pieces the first and the last."""

    size: int
    parts: dict[int, bytes] = field(default_factory=dict)
    name = "rest"

    def write_at(self, _: int, data: bytes | memoryview, offset: int) -> None:
        self.parts[offset] = bytes(data[:CHUNK])
        if len(data) > CHUNK:
            self.parts[offset + len(data) - CHUNK] = bytes(data[-CHUNK:])

    def read(self, offset: int, length: int) -> bytes:
        start = max((at for at in self.parts if at <= offset), default=0)
        data = self.parts[start][offset - start : offset - start + length]
        assert len(data) == length, "this part was not written in one piece"
        return data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read(offset, len(buffer))

    def whole(self) -> bytes:
        raise AssertionError("an archive is never read whole")

    def check_unchanged(self, may_be_replaced: bool = False) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> Rest:
    """A file of 5 GiB, 3 bytes, nothing, and 4 GiB, but for its payloads."""
    sizes = (5 * GIB, 3, 0, 4 * GIB)
    planned = plan([Record(str(index), Zeros(size)) for index, size in enumerate(sizes)])
    made = Rest(planned.size)
    monkeypatch.setattr(writer, "write_at", made.write_at)
    monkeypatch.setattr(writer, "crc32", lambda data, start=0: 0)
    planned.write(-1)
    return made


def test_a_file_beyond_four_gigabytes_is_read_back(rest: Rest) -> None:
    entries = read_archive(rest).entries
    assert [(entry.name, entry.size, entry.compressed_size) for entry in entries] == [
        (str(index), size, size) for index, size in enumerate((5 * GIB, 3, 0, 4 * GIB))
    ]
    assert all(entry.data_offset % 64 == 0 for entry in entries)
    assert entries[1].header_offset == entries[0].data_offset + 5 * GIB + 24
    assert [type(entry.descriptor) for entry in entries] == [structs.Descriptor64] * 2 + [type(None), structs.Descriptor64]


def test_the_central_entries_beyond_four_gigabytes_are_those_of_torch(rest: Rest) -> None:
    first, second, third, fourth = read_archive(rest).entries
    sizes = [
        (entry.central.compressed_size, entry.central.size, entry.central.offset) for entry in (first, second, third, fourth)
    ]
    assert sizes == [(FULL, FULL, 0), (3, 3, FULL), (0, 0, FULL), (FULL, FULL, FULL)]
    assert first.central.extra == struct.pack("<HHQQ", 1, 16, 5 * GIB, 5 * GIB)
    assert second.central.extra == struct.pack("<HHQ", 1, 8, second.header_offset)
    assert third.central.extra == struct.pack("<HHQ", 1, 8, third.header_offset)
    assert fourth.central.extra == struct.pack("<HHQQQ", 1, 24, 4 * GIB, 4 * GIB, fourth.header_offset)


def test_the_end_of_a_file_beyond_four_gigabytes_says_so(rest: Rest) -> None:
    found = read_archive(rest)
    assert found.end64 is not None
    assert found.end.directory_offset == FULL
    assert found.end64.directory_offset > 9 * GIB
    assert found.end.directory_size == found.end64.directory_size
    assert found.end64.directory_offset + found.end64.directory_size + 98 == rest.size


@dataclass(frozen=True)
class Broken:
    """A payload whose bytes cannot be read from a certain byte on."""

    length: int
    breaks_at: int
    seekable: bool = True

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        for at in range(start, stop, CHUNK):
            if at + CHUNK > self.breaks_at:
                raise OSError("the disk is gone")
            yield bytes(min(CHUNK, stop - at))


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(("length", "breaks_at"), [(10, 0), (3 * CHUNK, 2 * CHUNK), (40 * CHUNK, 35 * CHUNK)])
def test_an_error_of_a_payload_passes_and_leaves_nothing(tmp_path: Path, length: int, breaks_at: int, seekable: bool) -> None:
    records = [
        Record("good", BytesPayload(b"x" * 100)),
        Record("bad", Broken(length, breaks_at, seekable)),
        Record("last", BytesPayload(b"y")),
    ]
    with pytest.raises(OSError, match="the disk is gone"), new_files([tmp_path / "out.pt"]) as files:
        files.outputs[0].write(plan(records))
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Liar:
    """A payload that gives another number of bytes than it promised."""

    length: int
    given: int
    seekable = False

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        yield bytes(self.given)


@pytest.mark.parametrize(
    ("length", "given"), [(10, 9), (10, 11), (0, 1), (1, 0), (2 * CHUNK, 2 * CHUNK - 1), (2 * CHUNK, 2 * CHUNK + 1)]
)
def test_a_payload_that_breaks_its_promise_is_an_error(length: int, given: int) -> None:
    with pytest.raises(FormatError, match=f"record liar gave {given} bytes, expected {length}"):
        written([Record("liar", Liar(length, given))])


@dataclass
class Watched:
    """A payload that notes which parts of it were asked for; two threads must ask at the same time."""

    data: bytes
    seekable: bool
    barrier: threading.Barrier | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.data)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        self.asked.append((start, stop))
        if self.barrier:
            self.barrier.wait(timeout=20)
        yield from BytesPayload(self.data).chunks(start, stop)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripes of 100 bytes in chunks of 30, on two threads."""
    for module, name, value in (
        (payloads, "STRIPE", 100),
        (payloads, "CHUNK", 30),
        (payloads, "BLOCK", 30),
        (workers, "worker_count", lambda: 2),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("size", [0, 1, 29, 30, 31, 99, 100, 101, 130, 199, 200, 201, 1234])
def test_stripes_on_several_threads_make_the_same_file_as_a_single_pass(size: int) -> None:
    data = random.Random(size).randbytes(size)
    striped = written([Record("a", BytesPayload(data)), Record("b", Watched(data, seekable=True))])
    single = written([Record("a", BytesPayload(data)), Record("b", Watched(data, seekable=False))])
    assert striped == single
    with zipfile.ZipFile(io.BytesIO(striped)) as made:
        assert made.testzip() is None
        assert made.read("b") == data


@pytest.mark.usefixtures("small_steps")
def test_two_threads_share_a_large_payload() -> None:
    payload = Watched(bytes(range(200)), seekable=True, barrier=threading.Barrier(2))
    written([Record("a", payload)])
    assert sorted(payload.asked) == [(0, 100), (100, 200)]


@pytest.mark.usefixtures("small_steps")
def test_a_payload_that_is_not_seekable_is_pulled_once_from_start_to_end() -> None:
    payload = Watched(bytes(1000), seekable=False)
    written([Record("a", payload)])
    assert payload.asked == [(0, 1000)]


@pytest.mark.usefixtures("small_steps")
def test_progress_counts_every_byte_of_the_payloads() -> None:
    steps: list[int] = []
    sizes = (0, 5, 30, 31, 250)
    with tempfile.TemporaryFile() as file:
        plan([Record(str(size), BytesPayload(bytes(size))) for size in sizes]).write(file.fileno(), steps.append)
    assert sum(steps) == sum(sizes)
    assert len(steps) > len(sizes)


def test_a_large_payload_is_written_in_real_stripes(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(1 << 16) * (2 * STRIPE // (1 << 16)) + b"and some more"
    with new_files([tmp_path / "out.pt"]) as files:
        records = [Record("a/data/0", BytesPayload(data)), Record("a/version", SlicePayload(BytesPayload(data), 0, 3))]
        files.outputs[0].write(plan(records))
    with zipfile.ZipFile(tmp_path / "out.pt") as made:
        assert made.testzip() is None
        assert made.read("a/data/0") == data
        assert made.read("a/version") == data[:3]
