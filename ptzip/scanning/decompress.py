"""What is inside compressed bytes, for a scan: gzip, zstd, bzip2, xz, zlib.

Rule: what is small stays in memory, so that scanning writes nothing; bytes that grow beyond all reason are a `LimitError`
before they fill it.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ptzip.errors import FormatError, LimitError
from ptzip.io.sources import CHUNK, BytesSource, FileSource, Source, SourceFile
from ptzip.limits import Limits

IN_MEMORY = 1 << 26
"""Bytes that are held in memory; more go to a temporary file."""

MOST_GROWTH = 200
"""Beyond that, unpacked bytes may be so many times those that were read: weights hardly shrink at all."""


class _Zlib:
    """A zlib stream as a file, read in pieces of bounded size."""

    def __init__(self, file: SourceFile) -> None:
        self._file, self._reader, self._pending = file, zlib.decompressobj(), b""

    def read(self, size: int) -> bytes:
        piece = b""
        while not piece and not self._reader.eof:
            data = self._pending or self._file.read(CHUNK)
            if not data:
                raise EOFError("it is cut off")
            piece = self._reader.decompress(data, size)
            self._pending = self._reader.unconsumed_tail
        return piece


def _gzip(file: Any) -> Any:
    import gzip  # here and below, since few files need them

    return gzip.GzipFile(fileobj=file)


def _zstd(file: Any) -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


def _bzip2(file: Any) -> Any:
    import bz2

    return bz2.BZ2File(file)


def _xz(file: Any) -> Any:
    import lzma

    return lzma.LZMAFile(file)


class Packing(NamedTuple):
    """A kind of compression: how it begins, and what reads it from a file; `is_short` where that beginning is soon chance."""

    name: str
    magics: tuple[bytes, ...]
    reader: Callable[[Any], Any]
    is_short: bool = False

    def fits(self, source: Source) -> bool:
        """Whether the first bytes can be unpacked."""
        try:
            return bool(self.reader(SourceFile(source)).read(1))
        except (zlib.error, EOFError):
            return False


PACKINGS = (
    Packing("gzip", (b"\x1f\x8b",), _gzip),
    Packing("zstd", (b"\x28\xb5\x2f\xfd",), _zstd),
    Packing("bzip2", (b"BZh",), _bzip2),
    Packing("xz", (b"\xfd7zXZ\x00", b"\x5d\x00\x00"), _xz),
    Packing("zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), _Zlib, is_short=True),
)


def packing(head: bytes) -> Packing | None:
    """How bytes that begin so are compressed, or None."""
    return next((kind for kind in PACKINGS if head.startswith(kind.magics)), None)


def unpacked(source: Source, kind: Packing, limits: Limits) -> FileSource | BytesSource:
    """What is inside, to be closed. Raises FormatError where nothing is, LimitError where it is out of all proportion."""
    pieces, size, file = list[bytes](), 0, None
    for piece in _pieces(source, kind):
        size += len(piece)
        if size > limits.unpacked_bytes:
            raise LimitError(f"the {kind.name} holds more than {limits.unpacked_bytes:,} bytes")
        if file is None and size > IN_MEMORY:
            file = _temporary_file()
            file.writelines(pieces)
            pieces.clear()
        if file is None:
            pieces.append(piece)
        else:
            file.write(piece)
    if file is None:
        return BytesSource(b"".join(pieces), source.name)
    from ptzip.io.unpacking import UnpackedSource

    file.flush()
    return UnpackedSource(file, source.name)


def _temporary_file() -> Any:
    import tempfile

    return tempfile.NamedTemporaryFile(prefix="ptzip-", suffix=".pt")


def _pieces(source: Source, kind: Packing) -> Iterator[bytes]:
    """The unpacked bytes up to where they end or break; what follows them is left aside."""
    file, made = SourceFile(source), 0
    reader = kind.reader(file)
    while True:
        try:
            piece = reader.read(CHUNK)
        except Exception as error:
            if made:
                return
            raise FormatError(f"this begins as {kind.name}, but cannot be unpacked: {error}") from error
        if not piece:
            return
        made += len(piece)
        if made > IN_MEMORY and made > MOST_GROWTH * file.tell():
            raise LimitError(f"{file.tell():,} bytes of {kind.name} stand for more than {made:,}")
        yield piece
