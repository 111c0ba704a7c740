"""Payloads: bytes to be written, in chunks of at most `CHUNK`, which are read when they are pulled, in any thread.

A caller that copies many bytes passes `Buffers`: each chunk is then at most `BLOCK` bytes, in memory that the next one reuses.
"""

import contextlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from ptzip.errors import FormatError
from ptzip.io.buffers import BLOCK, Buffers
from ptzip.io.crc32 import Pieces, crc32
from ptzip.io.sources import CHUNK, STRIPE, DescriptorSource, Source, expect
from ptzip.io.system import write_at


class Payload(Protocol):
    """Bytes to be written: their number, and any part of them in chunks.

    Without `seekable`, reading a part means reading everything before it, so all parts are better read in one call.
    """

    @property
    def length(self) -> int: ...

    @property
    def seekable(self) -> bool: ...

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to `stop`, in pieces of at most `CHUNK`; with `buffers`, the next piece may overwrite it."""


class BytesPayload(NamedTuple):
    """A payload in memory."""

    data: bytes

    @property
    def seekable(self) -> bool:
        return True

    @property
    def length(self) -> int:
        return len(self.data)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        view = memoryview(self.data)
        for at in range(start, stop, CHUNK):
            yield view[at : min(at + CHUNK, stop)]


class SourcePayload(NamedTuple):
    """A payload in a source: `length` bytes from `offset`."""

    source: Source
    offset: int
    length: int

    @property
    def seekable(self) -> bool:
        return True

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        expect(self.source, self.offset + start, stop - start)
        if buffers is None:
            for at in range(start, stop, CHUNK):
                yield self.source.read(self.offset + at, min(CHUNK, stop - at))
            return
        for at in range(start, stop, BLOCK):
            piece = buffers.get("read", min(BLOCK, stop - at))
            self.source.read_into(self.offset + at, piece)
            yield piece


class SlicePayload(NamedTuple):
    """A part of another payload: `length` bytes from its byte `start`."""

    base: Payload
    start: int
    length: int

    @property
    def seekable(self) -> bool:
        return self.base.seekable

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        return self.base.chunks(self.start + start, self.start + stop, buffers)


def part_of(payload: Payload, start: int, length: int) -> SlicePayload:
    """A part of a payload that may be a part itself, and so on to any depth."""
    if isinstance(payload, SlicePayload):
        return SlicePayload(payload.base, payload.start + start, length)
    return SlicePayload(payload, start, length)


class JoinedPayload(NamedTuple):
    """Payloads one after the other."""

    parts: tuple[Payload, ...]

    @property
    def seekable(self) -> bool:
        return all(part.seekable for part in self.parts)

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        at = 0
        for part in self.parts:
            first, last = max(start - at, 0), min(stop - at, part.length)
            if first < last:
                yield from part.chunks(first, last, buffers)
            at += part.length


class InflatedPayload(NamedTuple):
    """The bytes of a deflated entry (raw deflate, APPNOTE 4.4.5), never more than `length`."""

    stored: Payload
    length: int
    name: str

    @property
    def seekable(self) -> bool:
        return False

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        at = 0
        for chunk in self._inflate(buffers):
            if at + len(chunk) > self.length:
                raise FormatError(f"{self.name} inflates to more than its {self.length} bytes")
            part = chunk[max(0, start - at) : max(0, stop - at)]
            at += len(chunk)
            if part:
                yield part
        if at != self.length:
            raise FormatError(f"{self.name} inflates to {at} bytes, expected {self.length}")

    def _inflate(self, buffers: Buffers | None) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for chunk in self.stored.chunks(0, self.stored.length, buffers):
                pending: bytes | memoryview = chunk
                while pending:
                    if inflater.eof:
                        raise FormatError(f"bytes follow the deflate stream of {self.name}")
                    yield inflater.decompress(pending, CHUNK)
                    pending = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error as error:
            raise FormatError(f"{self.name} is not a deflate stream: {error}") from error


class CheckedPayload:
    """A payload whose CRC is computed while it is read, if there is an `expected` one to compare it with."""

    def __init__(self, base: Payload, name: str, expected: int | None) -> None:
        self.base = base
        self.name = name
        self.expected = expected
        self.pieces = Pieces()

    @property
    def length(self) -> int:
        return self.base.length

    @property
    def seekable(self) -> bool:
        return self.base.seekable

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        if self.expected is None:
            yield from self.base.chunks(start, stop, buffers)
            return
        crc = 0
        for chunk in self.base.chunks(start, stop, buffers):
            crc = crc32(chunk, crc)
            yield chunk
        self.pieces.add(start, stop, crc)

    @property
    def records(self) -> "list[CheckedPayload]":
        """Those with a CRC that this one is made of, as far as they were opened; itself, where it has one."""
        if self.expected is not None:
            return [self]
        inner = [self.base] if isinstance(self.base, CheckedPayload) else getattr(self.base, "checked", [])
        return [record for one in inner for record in one.records]

    def is_wrong(self) -> bool:
        """Whether all bytes were read and their CRC differs from the expected one."""
        return self.expected is not None and self.pieces.crc(self.length) not in (None, self.expected)


def unchecked(payload: Payload) -> Payload:
    """The payload without its CRC being computed, for reading only parts of it, or some repeatedly."""
    while isinstance(payload, CheckedPayload):
        payload = payload.base
    return payload


def read_all(payload: Payload) -> bytes:
    """The whole payload in memory."""
    return b"".join(payload.chunks(0, payload.length))


def stripes(payload: Payload) -> Iterator[tuple[int, int]]:
    """Start and stop of the parts that one thread handles at a time, an empty part where there are no bytes."""
    step = STRIPE if payload.seekable else max(payload.length, 1)
    for start in range(0, max(payload.length, 1), step):
        yield start, min(start + step, payload.length)


CountBytes = Callable[[int], None]
"""Called with the number of bytes of payloads that were written since the last call."""

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and the total number of bytes."""


class ByteCounter:
    """Counts bytes from any thread, and reports them to `progress`, if there is one."""

    def __init__(self, progress: Progress | None, total: int = 0) -> None:
        import threading  # a scan counts nothing, and starts faster without it

        self._progress = progress
        self._done, self._total = 0, total
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        """Raise the total."""
        with self._lock:
            self._total += count

    def add(self, count: int) -> None:
        if self._progress:
            with self._lock:
                self._done += count
                self._progress(self._done, self._total)


class SequentialFile:
    """A planned file that is its payloads one after the other, as the old format of torch and safetensors are."""

    def __init__(self, payloads: Iterable[Payload]) -> None:
        self.payloads = list(payloads)
        self.size = sum(payload.length for payload in self.payloads)

    def write(self, descriptor: int, count_bytes: CountBytes | None = None) -> None:
        """Write everything to an open file; all workers copy payloads, in chunks."""
        from ptzip.io.workers import share  # what only reads does without

        def work(job: tuple[Payload, int, int, int], buffers: Buffers) -> None:
            done = _write_stripe(descriptor, *job, buffers)
            if count_bytes:
                count_bytes(done)

        share(work, self._stripes())

    def _stripes(self) -> Iterator[tuple[Payload, int, int, int]]:
        """The parts of all payloads, with the offsets of the payloads in the file."""
        at = 0
        for payload in self.payloads:
            yield from ((payload, at, start, stop) for start, stop in stripes(payload))
            at += payload.length


def _write_stripe(descriptor: int, payload: Payload, offset: int, start: int, stop: int, buffers: Buffers) -> int:
    """Write one part of a payload, whose first byte is at `offset` of the file; returns the number of bytes."""
    at = start
    for chunk in payload.chunks(start, stop, buffers):
        write_at(descriptor, chunk, offset + at)
        at += len(chunk)
    if at != stop:
        raise FormatError(f"a part of the file has {at - start} bytes, expected {stop - start}")
    return stop - start


class CopiedFile(SequentialFile):
    """A planned file with the bytes of a source. The kernel copies them where it can: file systems that can share blocks do."""

    def __init__(self, source: Source) -> None:
        super().__init__([SourcePayload(source, 0, source.size)])
        self._source = source

    def write(self, descriptor: int, count_bytes: CountBytes | None = None) -> None:
        if not self._is_copied_by_kernel(descriptor):
            super().write(descriptor, count_bytes)
        elif count_bytes:
            count_bytes(self.size)

    def _is_copied_by_kernel(self, descriptor: int) -> bool:
        """Let the kernel copy (copy_file_range(2)); returns whether it copied all bytes."""
        if not isinstance(self._source, DescriptorSource) or not hasattr(os, "copy_file_range"):
            return False
        at = 0
        with contextlib.suppress(OSError):  # not between these file systems, or not at all
            while at < self.size and (done := os.copy_file_range(self._source.fileno(), descriptor, self.size - at, at, at)):
                at += done
        return at == self.size
