"""What is claimed of a compressed file: its headers, and the compressed data, which have to be unpacked to be mapped."""

from collections.abc import Iterator

from ptzip.io.compression import compression_of
from ptzip.io.sources import Source, Window
from ptzip.mapping.claims import COMPRESSED, GZIP_HEADER, GZIP_TRAILER, ZSTD_HEADER, Claim, structured

GZIP_FIXED, TRAILER = 10, 8
HEADER_CRC, EXTRA, NAME, COMMENT = 0x02, 0x04, 0x08, 0x10
"""Flags of a gzip header (RFC 1952, 2.3.1)."""

MOST_TEXT = 1 << 16
"""Bytes of the name or comment in a gzip header."""

ZSTD_MAGIC, SKIPPABLE = 0xFD2FB528, range(0x184D2A50, 0x184D2A60)
SINGLE_SEGMENT, WITH_CHECKSUM = 0x20, 0x04
"""Flags in the descriptor of a zstd frame (RFC 8878, 3.1.1.1.1)."""

SKIPPABLE_SIZE, BLOCK_HEADER, CHECKSUM = 8, 3, 4
ONE_BYTE = 1
"""The type of a zstd block that repeats one byte (RFC 8878, 3.1.1.2)."""


def claims(source: Source) -> Iterator[Claim]:
    """The claims of a file that has a compression."""
    kind = compression_of(source)
    assert kind is not None
    advice = f"unpack the {kind.name} to map what it holds"
    if kind.name == "gzip":
        yield from _gzip(source, advice)
    elif kind.name == "zstd":
        yield from _zstd(source, advice)
    else:
        yield Claim(0, source.size, COMPRESSED, kind.name, advice)


def _gzip(source: Source, advice: str) -> Iterator[Claim]:
    """One member (RFC 1952); where the data end is known only by inflating them, so further members are among the data."""
    end, trailer = min(_gzip_header_end(source), source.size), max(source.size - TRAILER, 0)
    yield structured(0, end, GZIP_HEADER)
    yield Claim(end, trailer, COMPRESSED, "gzip", advice)
    yield structured(max(end, trailer), source.size, GZIP_TRAILER)


def _gzip_header_end(source: Source) -> int:
    head = source.read(0, min(source.size, GZIP_FIXED + 2 + MOST_TEXT))
    flags, at = (head[3] if len(head) > 3 else 0), GZIP_FIXED
    if flags & EXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for flag in (NAME, COMMENT):
        if flags & flag:
            at = head.find(b"\0", at) + 1 or len(head)
    return at + (2 if flags & HEADER_CRC else 0)


def _zstd(source: Source, advice: str) -> Iterator[Claim]:
    """All frames, block by block (RFC 8878, 3.1)."""
    at = 0
    while at + 4 <= source.size:
        magic = int.from_bytes(source.read(at, 4), "little")
        if magic in SKIPPABLE:
            size = SKIPPABLE_SIZE + int.from_bytes(_read(source, at + 4, 4), "little")
            yield structured(at, at + size, "zstd skippable frame")
            at += size
        elif magic == ZSTD_MAGIC:
            for claim in _frame(source, at):
                yield claim._replace(remark=advice) if claim.kind == COMPRESSED else claim
                at = claim.stop
        else:
            return


def _frame(source: Source, start: int) -> Iterator[Claim]:
    """The header of a frame, its blocks, and its checksum."""
    (descriptor,) = _read(source, start + 4, 1) or b"\0"
    has_window = not descriptor & SINGLE_SEGMENT
    at = start + 5 + has_window + dictionary_length(descriptor) + content_size_length(descriptor)
    yield structured(start, at, ZSTD_HEADER)
    first, is_last = at, False
    while not is_last and at + BLOCK_HEADER <= source.size:
        header = int.from_bytes(source.read(at, BLOCK_HEADER), "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        at += BLOCK_HEADER + (1 if kind == ONE_BYTE else size)
    yield Claim(first, at, COMPRESSED, "zstd")
    if descriptor & WITH_CHECKSUM:
        yield structured(at, at + CHECKSUM, "zstd checksum")


def content_size_length(descriptor: int) -> int:
    """The bytes of the content size in the header of a zstd frame (RFC 8878, 3.1.1.1.1.1)."""
    return (1 if descriptor & SINGLE_SEGMENT else 0, 2, 4, 8)[descriptor >> 6]


def dictionary_length(descriptor: int) -> int:
    """The bytes of the dictionary id in the header of a zstd frame (RFC 8878, 3.1.1.1.1.6)."""
    return (0, 1, 2, 4)[descriptor & 3]


def _read(source: Source, at: int, length: int) -> bytes:
    """The bytes at an offset, fewer where the file ends."""
    return Window(source, at, max(min(length, source.size - at), 0)).read(0, max(min(length, source.size - at), 0))
