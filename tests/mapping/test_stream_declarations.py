"""Declarations of the legacy stream, of compressions and of distributed items against their readers."""

import gzip
import struct
import zlib

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ptzip.formats import legacy
from ptzip.formats.container import Member
from ptzip.formats.signatures import LEGACY_MAGIC_END, has_legacy_magic
from ptzip.io.sources import BytesSource
from ptzip.limits import Limits
from ptzip.zip import structs
from ptzip.zip.structs import LocalHeader
from tests.corpus import needs_corpus
from tests.mapping.declared import BASE, both_ways, checked, corpus_contents, quick, read_or_none


@needs_corpus
def test_both_readers_agree_on_the_frame_of_every_legacy_stream() -> None:
    found = [data for data in corpus_contents() if has_legacy_magic(data[:LEGACY_MAGIC_END])]
    assert found
    for data in found:
        if read := read_or_none(legacy.read, BytesSource(data), Limits()):
            check_legacy(data, read.members)


def check_legacy(data: bytes, members: tuple[Member, ...]) -> None:
    head = members[: len(legacy.PICKLES)]
    found = both_ways("legacy stream head", data[: head[-1].offset + head[-1].size])
    assert [(one.name, one.offset - BASE, one.length) for one in found.values()] == [
        (one.name, one.offset, one.size) for one in head
    ]
    for storage in members[len(head) :]:
        if storage.name.startswith("storage "):
            count = both_ways("legacy storage count", data[storage.offset - legacy.COUNT.size : storage.offset])["count"].value
            assert isinstance(count, int)
            assert storage.size % max(count, 1) == 0


@quick
@given(st.binary(max_size=20), st.booleans(), st.booleans(), st.integers(0, 5000))
def test_a_zstd_frame_header_is_read_as_zstandard_reads_it(data: bytes, has_size: bool, has_sum: bool, count: int) -> None:
    settings = zstandard.ZstdCompressionParameters(write_content_size=has_size, write_checksum=has_sum, window_log=17)
    frame = zstandard.ZstdCompressor(compression_params=settings).compress(data * count)
    length, read = zstandard.frame_header_size(frame), zstandard.get_frame_parameters(frame)
    found = both_ways("zstd frame header", frame[:length])
    if "window" in found:
        assert found["window"].meaning == f"{read.window_size:,} bytes"
    if "content_size" in found:
        value = found["content_size"].value
        assert isinstance(value, int)
        assert value + 256 * (found["content_size"].length == 2) == read.content_size
    assert ("checksum" in found["descriptor"].meaning) == read.has_checksum


@quick
@given(st.lists(st.tuples(st.binary(min_size=2, max_size=2), st.binary(max_size=5)), max_size=3), st.integers(0, 31))
def test_a_gzip_header_ends_where_the_data_begin(subfields: list[tuple[bytes, bytes]], flags: int) -> None:
    extra = b"".join(ident + struct.pack("<H", len(data)) + data for ident, data in subfields)
    head = struct.pack("<2sBBIBB", b"\x1f\x8b", 8, flags, 1, 2, 3)
    head += (struct.pack("<H", len(extra)) + extra if flags & 4 else b"") + b"name\0" * (flags >> 3 & 1) + b"\0" * (flags >> 4)
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & 2 else b""
    whole = head + gzip.compress(b"content")[10:]
    assert gzip.decompress(whole) == b"content"
    both_ways("gzip header", head)
    assert {one.name: one.value for one in checked("gzip trailer", whole[-8:])} == {"crc": zlib.crc32(b"content"), "size": 7}


def test_an_item_of_a_distributed_checkpoint_is_a_zip_a_frame_or_bytes() -> None:
    header = structs.build(LocalHeader(0, 0, 0, 0, 0, 0, 0, 0, b"archive/data.pkl", b""))
    frame = zstandard.ZstdCompressor().compress(b"data")
    for data, first in ((header + b"data", "first record"), (frame, "zstd frame"), (b"raw", "bytes")):
        assert both_ways("DCP item", data)[first].offset == BASE
