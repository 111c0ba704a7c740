"""The bytes behind tensors, read on demand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Optional

from ptzip.errors import FormatError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import CheckedPayload, Payload
from ptzip.tensors.dtypes import DType


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Bytes that tensors share: `size` of them, in elements of `dtype`. Two of the same key in one pickle are one object.

    `payload` gives the bytes of the file; a view is `size` bytes of its `base` from byte `start`.
    """

    key: str
    dtype: DType
    size: int
    payload: Callable[[], Payload]
    location: str = "cpu"
    big_endian: bool = False
    base: Optional["Storage"] = None
    start: int = 0

    @property
    def root(self) -> "tuple[Storage, int]":
        """The storage that this is a view of, and the offset of the view in bytes; itself and 0 if it is no view."""
        base, start = self, 0
        while base.base is not None:
            base, start = base.base, start + base.start
        return base, start

    def read(self, start: int, stop: int) -> bytes:
        """Some of the bytes, in the order of the file; raises as `chunks` does."""
        return b"".join(self.chunks(start, stop))

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        """The same in pieces, as `Payload.chunks`. Raises FormatError where the storage or its record is shorter."""
        if not 0 <= start <= stop <= self.size:
            raise FormatError(f"bytes {start} to {stop} of storage {self.key} are used, and it has {self.size}")
        if self.base is not None:
            yield from self.base.chunks(self.start + start, self.start + stop, buffers)
        elif start < stop:
            yield from self.checked_payload().chunks(start, stop, buffers)

    @property
    def recorded_crc(self) -> int | None:
        """The CRC that the file records for the whole storage; None where it records none. Raises as `payload` does."""
        payload = self.payload()
        return payload.expected or None if isinstance(payload, CheckedPayload) else None

    def checked_payload(self) -> Payload:
        """The payload. Raises FormatError if it has another length than the storage, as torch does."""
        found = self.payload()
        if found.length != self.size:
            raise FormatError(f"storage {self.key} is {found.length} bytes long, expected {self.size}")
        return found
