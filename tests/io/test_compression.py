"""Compressions: each is recognised by its content and unpacked; what is cut off, broken or too large is an error."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard

from ptzip.errors import CutError, FormatError, LimitError
from ptzip.io import compression
from ptzip.io.compression import COMPRESSIONS, compression_named, compression_of, unpacked
from ptzip.io.sources import BytesSource, DescriptorSource
from ptzip.limits import DEFAULT_LIMITS, Limits

DATA = b"weights and more weights " * 9000
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 12}]),
    "zlib": zlib.compress,
    "zlib of joblib 0.9": lambda data: b"ZF" + hex(len(data)).ljust(19).encode() + zlib.compress(data),
}
KINDS = {kind.name: kind for kind in COMPRESSIONS}


def test_every_compression_is_tested_here() -> None:
    assert PACK.keys() == KINDS.keys()


@pytest.mark.parametrize("name", PACK)
def test_a_compression_is_recognised_and_unpacked(name: str) -> None:
    source = BytesSource(PACK[name](DATA), "last.pt")
    assert compression_of(source) is KINDS[name]
    inner = unpacked(source, KINDS[name], DEFAULT_LIMITS)
    assert (inner.name, inner.whole()) == ("last.pt", DATA)


@pytest.mark.parametrize("name", PACK)
def test_large_content_goes_to_a_temporary_file(name: str) -> None:
    inner = unpacked(BytesSource(PACK[name](DATA)), KINDS[name], DEFAULT_LIMITS, in_memory=1000)
    assert isinstance(inner, DescriptorSource)
    assert inner.read(0, inner.size) == DATA
    inner.close()


@pytest.mark.parametrize("name", PACK)
def test_broken_bytes_are_a_format_error(name: str) -> None:
    packed = PACK[name](DATA)
    broken = packed[: len(packed) // 2] if name != "zstd" else packed[:9] + b"broken" * 9  # zstd reads on past its end
    with pytest.raises(FormatError, match=f"this is {name} that is broken or cut off"):
        unpacked(BytesSource(broken), KINDS[name], DEFAULT_LIMITS)


def test_a_scan_unpacks_up_to_the_damage() -> None:
    packed = bytearray(zlib.compress(DATA))
    source = BytesSource(bytes(packed[:-4]))
    with pytest.raises(CutError, match="cut off") as caught:
        unpacked(source, KINDS["zlib"], DEFAULT_LIMITS)
    assert caught.value.offset == len(DATA)
    assert unpacked(source, KINDS["zlib"], DEFAULT_LIMITS, faults=[]).whole() == DATA


@pytest.mark.parametrize("name", PACK)
def test_more_than_the_limit_is_not_unpacked(name: str) -> None:
    with pytest.raises(LimitError, match=f"the {name} holds more bytes than the limit of 1,000"):
        unpacked(BytesSource(PACK[name](DATA)), KINDS[name], Limits(unpacked_bytes=1000))


def test_a_scan_does_not_unpack_what_grows_out_of_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "IN_MEMORY", 1000)
    with pytest.raises(LimitError, match=r"bytes of gzip unpack to more than"):
        unpacked(BytesSource(gzip.compress(bytes(1 << 22))), KINDS["gzip"], DEFAULT_LIMITS, faults=[])


def test_an_error_of_reading_the_file_is_no_error_of_the_compression() -> None:
    class Failing(BytesSource):
        def read(self, offset: int, length: int) -> bytes:
            if offset:
                raise OSError(5, "Input/output error")
            return super().read(offset, length)

    with pytest.raises(OSError, match="Input/output error"):
        unpacked(Failing(gzip.compress(DATA)), KINDS["gzip"], DEFAULT_LIMITS, faults=[])


@pytest.mark.parametrize("data", [b"x\x9c", b"x\x9cnot zlib", b"", b"PK\x03\x04", b"\x80\x02."])
def test_what_is_not_compressed_is_none_of_them(data: bytes) -> None:
    assert compression_of(BytesSource(data)) is None


def test_the_suffix_of_an_output_names_its_compression() -> None:
    assert compression_named("a/last.pt.zst") is KINDS["zstd"]
    assert compression_named("a/last.pt") is None
    assert [kind.name for kind in COMPRESSIONS if kind.is_written] == ["zstd"]
