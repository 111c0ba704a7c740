"""Sources and payloads: every part of them is the same part of the same bytes, in chunks that are never large.

Each is compared with a slice of plain bytes, also across the borders of chunks.
"""

import io
import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from ptzip.checkpoint import Checkpoint
from ptzip.errors import ChangedError, FormatError, PtzipError
from ptzip.io import payloads, system
from ptzip.io.buffers import Buffers
from ptzip.io.open_source import open_source
from ptzip.io.payloads import BytesPayload, Payload, SlicePayload, SourcePayload, read_all
from ptzip.io.sources import CHUNK, BaseSource, BytesSource, FileSource, Openable, Source, Window
from tests.corpus import FIXTURES

DATA = bytes(range(256)) * 40
LONG = bytes(range(251)) * (2 * CHUNK // 251 + 99)
"""Two chunks and a bit, of a period that no chunk has."""

PARTS = ((0, 0), (0, 1), (0, CHUNK), (5, CHUNK + 7), (CHUNK - 1, CHUNK + 1), (CHUNK, 2 * CHUNK), (3, len(LONG)), (0, len(LONG)))

Opener = Callable[[bytes], Source]


@dataclass(frozen=True)
class OneWay:
    """A payload that has to go from its start to reach a part, as a compressed record."""

    data: bytes
    seekable = False

    @property
    def length(self) -> int:
        return len(self.data)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        for at in range(0, self.length, 1000):
            if part := self.data[max(at, start) : min(at + 1000, stop)]:
                yield part


class FewBytes(io.BytesIO):
    """An unbuffered file object, which gives fewer bytes than requested."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(-(-size // 2) if size and size > 0 else size)


def mapped(file: BinaryIO) -> BinaryIO:
    """A file that is mapped: it has the methods of a file object, though its type does not say so."""
    return cast("BinaryIO", mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@pytest.fixture(params=["file", "bytes", "file object", "unbuffered file object", "map"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Makes a source of some bytes, of each kind."""
    sources: list[Source] = []

    def open_as(data: bytes) -> Source:
        path = tmp_path / f"{len(sources)}.bin"
        path.write_bytes(data)
        kinds: dict[str, Openable] = {
            "file": path,
            "bytes": data,
            "file object": io.BytesIO(data),
            "unbuffered file object": FewBytes(data),
        }
        if request.param == "map":
            with path.open("rb") as file:
                kinds["map"] = mapped(file)
        sources.append(open_source(kinds[request.param]))
        return sources[-1]

    yield open_as
    for source in sources:
        source.close()


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, 1), (7, 1000), (0, len(DATA)), (len(DATA), 0)])
def test_a_source_gives_any_part_of_its_bytes(opened: Opener, offset: int, length: int) -> None:
    source = opened(DATA)
    assert source.size == len(DATA)
    assert source.read(offset, length) == DATA[offset : offset + length]
    assert source.whole()[offset : offset + length] == DATA[offset : offset + length]
    for kind in (source, Window(opened(b"before" + DATA + b"behind"), 6, len(DATA))):
        buffer = memoryview(bytearray(length))
        kind.read_into(offset, buffer)
        assert buffer == DATA[offset : offset + length]


@pytest.mark.parametrize(
    ("offset", "length", "left"),
    [(0, len(DATA) + 1, len(DATA)), (len(DATA), 1, 0), (len(DATA) - 1, 2, 1), (1 << 70, 1, 0), (3, 1 << 70, len(DATA) - 3)],
)
def test_a_source_that_ends_before_says_where(opened: Opener, offset: int, length: int, left: int) -> None:
    with pytest.raises(FormatError, match=f"ends early: expected {length} bytes, found {left}") as caught:
        opened(DATA).read(offset, length)
    assert caught.value.offset == offset


@pytest.mark.parametrize(("offset", "left"), [(len(DATA), 0), (len(DATA) - 3, 3), (len(DATA) + 4, 0)])
def test_what_does_not_fill_a_buffer_is_a_format_error(opened: Opener, offset: int, left: int) -> None:
    for kind in (opened(DATA), Window(opened(b"before" + DATA + b"behind"), 6, len(DATA))):
        with pytest.raises(FormatError, match=f"ends early: expected 7 bytes, found {left}"):
            kind.read_into(offset, memoryview(bytearray(7)))


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 7), (5, 17), (0, 700), (9993, 10000)])
def test_what_passes_through_a_buffer_is_the_same_bytes(
    opened: Opener, start: int, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "BLOCK", 7)
    span, buffers = SourcePayload(opened(DATA), 3, 10_000), Buffers()
    pieces = [bytes(piece) for piece in span.chunks(start, stop, buffers)]
    assert b"".join(pieces) == DATA[3 + start : 3 + stop]
    assert all(len(piece) == 7 for piece in pieces[:-1])


def test_a_file_that_shrinks_under_the_reader_is_a_format_error(tmp_path: Path) -> None:
    path = tmp_path / "shrinking.pt"
    path.write_bytes(DATA)
    source = FileSource(path)
    os.truncate(path, 100)
    with pytest.raises(FormatError, match="expected 10240 bytes, found 100"):
        source.read(0, len(DATA))
    source.close()


def test_a_file_that_gives_few_bytes_at_a_time_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slow.pt"
    path.write_bytes(DATA)
    source, read_at = FileSource(path), system.read_at
    monkeypatch.setattr(system, "read_at", lambda file, length, offset: read_at(file, (length + 1) // 2, offset))
    assert source.read(3, 5000) == DATA[3:5003]
    source.close()


def test_a_source_is_read_by_many_threads_at_once(opened: Opener) -> None:
    source = opened(DATA)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: source.read(at, 10), range(0, len(DATA), 10)))
    assert b"".join(parts) == DATA


def test_a_closed_source_says_that_it_is_closed(opened: Opener) -> None:
    source = opened(DATA)
    source.close()
    for use in (lambda: source.read(0, 4), lambda: source.read_into(0, memoryview(bytearray(4))), source.whole):
        with pytest.raises(PtzipError, match=r"^\S.* is closed: "):
            use()


def test_the_file_object_of_a_source_is_left_open_and_may_be_closed_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "owned.pt"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        file.seek(100)
        source = open_source(file)
        assert source.name == str(path)
        assert source.read(0, 8) == DATA[:8]
        source.close()
        assert file.read(0) == b""
        source = open_source(file)
    with pytest.raises(PtzipError, match="is closed"):
        source.read(0, 4)


def test_what_cannot_be_opened_is_a_type_error_that_says_what_can() -> None:
    with pytest.raises(TypeError, match="cannot open int: expected a path, a URL, bytes, or a binary file object"):
        open_source(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text mode: open the file with mode 'rb'"):
        open_source(io.StringIO("text"))  # type: ignore[arg-type]


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_file_object_that_cannot_read_or_seek_is_a_type_error(buffering: int, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    (tmp_path / "a.pt").write_bytes(b"data")
    with os.fdopen(reader, "rb", buffering) as pipe, (tmp_path / "a.pt").open("ab", buffering) as unreadable:
        for file in (pipe, unreadable):
            with pytest.raises(TypeError, match="cannot read and seek: read all of it, and open the bytes"):
                open_source(file)


def test_only_a_regular_file_is_a_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(FormatError, match="a pipe"):
        FileSource(tmp_path / "pipe.pt")
    with pytest.raises(FormatError, match="a directory"):
        FileSource(tmp_path)
    with pytest.raises(FileNotFoundError):
        FileSource(tmp_path / "missing.pt")


@pytest.fixture(params=["literal", "span", "slice", "slice of one way"])
def payload(request: pytest.FixtureRequest) -> Payload:
    """The bytes of `LONG` by each kind of payload."""
    padded = b"before" + LONG + b"behind"
    kinds: dict[str, Payload] = {
        "literal": BytesPayload(LONG),
        "span": SourcePayload(BytesSource(padded), 6, len(LONG)),
        "slice": SlicePayload(BytesPayload(padded), 6, len(LONG)),
        "slice of one way": SlicePayload(OneWay(padded), 6, len(LONG)),
    }
    return kinds[request.param]


@pytest.mark.parametrize(("start", "stop"), PARTS)
def test_any_part_of_a_payload_is_that_part_of_its_bytes(payload: Payload, start: int, stop: int) -> None:
    assert payload.length == len(LONG)
    assert b"".join(payload.chunks(start, stop)) == LONG[start:stop]


def test_no_chunk_is_empty_or_larger_than_a_chunk(payload: Payload) -> None:
    lengths = [len(chunk) for chunk in payload.chunks(0, payload.length)]
    assert min(lengths) > 0
    assert max(lengths) <= CHUNK


def test_a_whole_payload_is_all_its_chunks(payload: Payload) -> None:
    assert read_all(payload) == LONG


def test_a_slice_is_as_seekable_as_what_it_is_cut_from() -> None:
    assert SlicePayload(BytesPayload(DATA), 1, 2).seekable
    assert not SlicePayload(OneWay(DATA), 1, 2).seekable


def test_a_slice_reads_nothing_but_its_part() -> None:
    part = SlicePayload(SourcePayload(BytesSource(DATA), 0, 1 << 60), 100, 50)
    assert read_all(part) == DATA[100:150]


@pytest.mark.parametrize("base", [BytesPayload(DATA), OneWay(DATA)])
def test_a_slice_of_a_slice_counts_from_the_outer_one(base: Payload) -> None:
    inner = SlicePayload(SlicePayload(base, 100, 5000), 50, 4000)
    assert read_all(inner) == DATA[150:4150]
    assert b"".join(inner.chunks(10, 20)) == DATA[160:170]


def test_nothing_is_read_before_it_is_pulled() -> None:
    past = SourcePayload(BytesSource(b"short"), 0, 1 << 60)
    chunks = past.chunks(0, past.length)
    with pytest.raises(FormatError, match="ends early"):
        next(chunks)


def test_a_read_that_ends_before_the_file_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it for damage, as `repair` may, must not write a file of it."""
    path = tmp_path / "last.pt"
    path.write_bytes(DATA)
    source = FileSource(path)
    source.check_unchanged()
    with monkeypatch.context() as patched:
        patched.setattr(system, "read_at", lambda *_: b"")
        with pytest.raises(FormatError, match="ends early"):
            source.read(0, 10)
    with pytest.raises(ChangedError, match="a read ended before the file does"):
        source.check_unchanged()
    source.close()


class Remote(BaseSource):
    """A file elsewhere, which tells its version, as one behind range requests would."""

    name = "https://example.org/last.pt"

    def __init__(self, data: bytes) -> None:
        self.data, self.version, self.size = data, "1", len(data)
        super().__init__()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.data[offset : offset + len(buffer)]

    def identity(self) -> str:
        return self.version

    def close(self) -> None: ...


def test_a_new_kind_of_source_needs_only_bytes_and_a_version() -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    with Checkpoint(Remote(data)) as checkpoint, Checkpoint(BytesSource(data)) as expected:
        assert {name: repr(tensor) for name, tensor in checkpoint.items()} == {
            name: repr(tensor) for name, tensor in expected.items()
        }
    source = Remote(data)
    source.version = "2"
    with pytest.raises(ChangedError, match="another program wrote to it"):
        source.check_unchanged()


def test_a_file_object_of_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        source = open_source(file)
        source.check_unchanged()
        path.write_bytes(b"another")
        with pytest.raises(ChangedError, match="another program wrote to it"):
            source.check_unchanged()
    source.check_unchanged()  # a file that its owner closed says nothing


def test_a_large_file_object_is_not_read_into_memory_whole() -> None:
    whole = open_source(io.BytesIO(bytes(CHUNK + 1))).whole()
    assert not isinstance(whole, bytes)
    assert len(whole) == CHUNK + 1
