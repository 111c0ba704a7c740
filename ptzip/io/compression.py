"""The compressions a file may be wrapped in: one row each, and what unpacks and writes them.

Checkpoints are read at random offsets, so a file is unpacked first.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ptzip.errors import CutError, FormatError, LimitError, PtzipError, beyond
from ptzip.io.copies import IN_MEMORY, copied
from ptzip.io.sources import CHUNK, Position, Source, SourceFile, expect
from ptzip.io.system import write_at
from ptzip.limits import Limits

MOST_GROWTH = 200
"""A scan unpacks no more than `IN_MEMORY` bytes to more than this many times their size: weights hardly shrink."""

HEAD = 8
"""Every magic number is shorter."""


JOBLIB_HEAD = 2 + 19


def _gzip(file: Any) -> Any:
    import gzip  # here and below: few files are compressed

    return gzip.GzipFile(fileobj=file)


def _zstd(file: Any) -> Any:
    import zstandard  # a tenth of a scan's time

    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


def _bzip2(file: Any) -> Any:
    import bz2  # few files are compressed

    return bz2.BZ2File(file)


def _xz(file: Any) -> Any:
    import lzma  # few files are compressed

    return lzma.LZMAFile(file)


class _Zlib:
    """A zlib stream as a file object, which the standard library lacks."""

    def __init__(self, file: SourceFile, window_bits: int = zlib.MAX_WBITS) -> None:
        self._file, self._inflater, self._pending = file, zlib.decompressobj(window_bits), b""

    def read1(self, size: int) -> bytes:
        piece = b""
        if self._inflater.eof and (self._inflater.unused_data or self._file.read(1)):
            raise zlib.error("other bytes follow the stream")
        while not piece and not self._inflater.eof:
            data = self._pending or self._file.read(CHUNK)
            if not data:
                raise EOFError("it is cut off")
            piece = self._inflater.decompress(data, size)
            self._pending = self._inflater.unconsumed_tail
        return piece


def _deflate(file: SourceFile) -> _Zlib:
    return _Zlib(file, -zlib.MAX_WBITS)


def _joblib_zlib(file: SourceFile) -> _Zlib:
    """The files of joblib 0.9 and before: a number in 19 characters, maybe a space, and zlib (`read_zfile`)."""
    file.seek(JOBLIB_HEAD)
    if file.read(1) != b" ":
        file.seek(JOBLIB_HEAD)
    return _Zlib(file)


class Compression(NamedTuple):
    """One compression.

    `magics` are the first bytes, `is_weak` where they are so short that other files begin so by chance. `reader` makes a file
    object of the unpacked bytes. A checkpoint is opened in all of them, and written in those that have `is_written`.
    """

    name: str
    magics: tuple[bytes, ...]
    suffix: str
    reader: Callable[[Any], Any]
    is_written: bool = False
    is_weak: bool = False


COMPRESSIONS = (
    Compression("gzip", (b"\x1f\x8b",), ".gz", _gzip),  # RFC 1952
    Compression("zstd", (b"\x28\xb5\x2f\xfd",), ".zst", _zstd, is_written=True),  # RFC 8878
    Compression("bzip2", (b"BZh",), ".bz2", _bzip2),
    Compression("xz", (b"\xfd7zXZ\x00",), ".xz", _xz),
    Compression("lzma", (b"\x5d\x00",), ".lzma", _xz, is_weak=True),  # the size of a dictionary follows
    Compression("zlib of joblib 0.9", (b"ZF",), ".z", _joblib_zlib, is_weak=True),
    Compression("zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), ".zlib", _Zlib, is_weak=True),  # RFC 1950
)

DEFLATE = Compression("deflate", (), "", _deflate)
"""That of the entries of a zip (RFC 1951), which no bytes announce."""


def compression_of(source: Source) -> Compression | None:
    """How a source is compressed, by its first bytes; None where it is not."""
    head = source.read(0, min(HEAD, source.size))
    kind = next((kind for kind in COMPRESSIONS if head.startswith(kind.magics)), None)
    if kind is None or not kind.is_weak:
        return kind
    try:
        return kind if kind.reader(SourceFile(source)).read1(1) else None  # chance does not unpack
    except Exception:  # as in `_content`, each library has its own
        return None


def compression_named(path: str | os.PathLike[str]) -> Compression | None:
    """The compression that the suffix of an output announces; None where it announces none."""
    return next((kind for kind in COMPRESSIONS if os.fspath(path).endswith(kind.suffix)), None)


def content_of(kind: Compression) -> str:
    """What positions in the content of a compressed file are said to be in."""
    return f"the content of the {kind.name}"


def unpacked(
    source: Source,
    kind: Compression,
    limits: Limits,
    faults: list[str] | None = None,
    name: str = "",
    in_memory: int = IN_MEMORY,
) -> Source:
    """The content of a compressed source, to be closed by the caller; `name` is what positions in it are said to be in. More
    than `in_memory` bytes are in a temporary file.

    Raises CutError or FormatError where the bytes are cut off or broken, LimitError beyond `limits.unpacked_bytes`. A scan,
    which gives a list of `faults`, gets what precedes the damage, as a loader does, and a LimitError for more than
    `MOST_GROWTH`-fold growth.
    """
    pieces = _bounded(_content(source, kind, faults), kind, limits)
    return copied(pieces, source.name, Position(0, name or content_of(kind)), in_memory)


def _bounded(pieces: Iterable[bytes], kind: Compression, limits: Limits) -> Iterator[bytes]:
    """The pieces, up to the limit. Raises LimitError beyond it."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limits.unpacked_bytes:
            raise beyond("unpacked_bytes", limits.unpacked_bytes, f"the {kind.name} holds more bytes than")
        yield piece


def _content(source: Source, kind: Compression, faults: list[str] | None) -> Iterator[bytes]:
    """The unpacked bytes in pieces; for a scan up to where they end or break."""
    file, done = SourceFile(source), 0
    expect(source, 0, source.size)
    reader = kind.reader(file)
    while True:
        try:
            piece = reader.read1(CHUNK)  # `read` loses what precedes an error
        except PtzipError:
            raise
        except Exception as error:  # each library has its own: zlib.error, EOFError, LZMAError, ZstdError
            if isinstance(error, OSError) and error.errno is not None:  # gzip and bz2 report broken bytes without a number
                raise
            if faults is not None and done:
                faults.append(f"the {kind.name} is broken or followed by other bytes: {error}")
                return
            fault = CutError if isinstance(error, EOFError) else FormatError
            raise fault(f"this is {kind.name} that is broken or cut off: {error}", done, content_of(kind)) from error
        if not piece:
            return
        done += len(piece)
        if faults is not None and done > IN_MEMORY and done > MOST_GROWTH * file.tell():
            raise LimitError(f"{file.tell():,} bytes of {kind.name} unpack to more than {done:,} bytes")
        yield piece


def compress(plain: Source, descriptor: int) -> None:
    """Write the content of a source to an open file, in zstd."""
    import zstandard  # a tenth of a scan's time

    packer, at = zstandard.ZstdCompressor().compressobj(size=plain.size), 0
    for start in range(0, plain.size, CHUNK):
        data = packer.compress(plain.read(start, min(CHUNK, plain.size - start)))
        write_at(descriptor, data, at)
        at += len(data)
    write_at(descriptor, packer.flush(), at)
