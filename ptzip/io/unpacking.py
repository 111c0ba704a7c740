"""Compressed files: what is inside gzip or zstd, as a source of its own; and zstd around what is written.

Rule: a checkpoint is read from any place, so it is unpacked into a temporary file that goes with the source; memory does
not grow with it, and `Limits.unpacked_bytes` is checked while it grows.
"""

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

import zstandard

from ptzip.errors import CutError, FormatError, LimitError
from ptzip.io.atomic_output import write_at
from ptzip.io.compression import GZIP, ZSTD, Wrapping
from ptzip.io.sources import CHUNK, FileSource, Source, SourceFile
from ptzip.limits import Limits

READERS: dict[Wrapping, Callable[[IO[bytes]], Any]] = {
    GZIP: lambda file: gzip.GzipFile(fileobj=file),
    ZSTD: lambda file: _decompressor().stream_reader(file, read_across_frames=True),
}
"""How a stream of each kind is read."""


def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


class UnpackedSource(FileSource):
    """What was inside a compressed file; the temporary file is deleted when it is closed."""

    def __init__(self, file: "tempfile._TemporaryFileWrapper[bytes]", name: str) -> None:
        super().__init__(file.name)
        self._temporary = file
        self.name = name

    def close(self) -> None:
        super().close()
        self._temporary.close()


def unwrapped(source: Source, kind: Wrapping, limits: Limits) -> UnpackedSource:
    """Unpack a file. Raises FormatError where the compression is broken or cut off, LimitError where it holds too much."""
    file = tempfile.NamedTemporaryFile(prefix="ptzip-", suffix=".pt")  # noqa: SIM115 (closed with the source)
    try:
        _unpack(source, kind, file, limits)
        file.flush()
        return UnpackedSource(file, source.name)
    except BaseException:
        file.close()
        raise


def _unpack(source: Source, kind: Wrapping, file: "tempfile._TemporaryFileWrapper[bytes]", limits: Limits) -> None:
    done = 0
    try:
        with READERS[kind](cast("IO[bytes]", SourceFile(source))) as reader:
            while chunk := reader.read(CHUNK):
                done += len(chunk)
                if done > limits.unpacked_bytes:
                    raise LimitError(f"the {kind.name} holds more than {limits.unpacked_bytes} bytes")
                file.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        fault = CutError if isinstance(error, EOFError) else FormatError
        raise fault(f"this is {kind.name} that is broken or cut off: {error}", done) from error


def pack(plain: int, descriptor: int) -> None:
    """Write what lies in the open file `plain` to another, in zstd."""
    size = os.fstat(plain).st_size
    packer, at = zstandard.ZstdCompressor().compressobj(size=size), 0
    for start in range(0, size, CHUNK):
        data = packer.compress(os.pread(plain, CHUNK, start))
        write_at(descriptor, data, at)
        at += len(data)
    write_at(descriptor, packer.flush(), at)
