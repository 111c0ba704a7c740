"""The bytes of a storage as a comparison reads them: found once, and each read once.

Rule: no checksum is computed on the way, since all bytes are compared; whether a file is whole is what `verify` tells.
"""

from collections.abc import Iterator
from dataclasses import replace

from ptzip.io.payloads import CheckedPayload, Payload, unchecked
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor


def held(tensor: Tensor) -> Tensor:
    """The tensor on a storage whose payload is found already. Raises as `Storage.checked_payload` does."""
    if tensor.storage is None:
        return tensor
    payload = bare(tensor.storage)
    return replace(tensor, storage=replace(tensor.storage, payload=lambda: payload, base=None, start=0))


def bare(storage: Storage) -> Payload:
    """The payload of a storage; one that can only be read from its beginning is read on from where it was left."""
    found = unchecked(storage.checked_payload())
    return found if found.seekable else Ongoing(found)


def checksum(storage: Storage) -> int | None:
    """The CRC that the file tells of a whole storage; None where it tells none."""
    payload = storage.payload()
    return payload.expected or None if isinstance(payload, CheckedPayload) else None


class Ongoing:
    """A payload that goes on where the last part ended, if the next part begins there or later."""

    seekable = True

    def __init__(self, base: Payload) -> None:
        self.base = base
        self.length = base.length
        self._start_over()

    def _start_over(self) -> None:
        self._at, self._left, self._coming = 0, memoryview(b""), self.base.chunks(0, self.length)

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        if start < self._at:
            self._start_over()
        while self._at < stop:
            if not self._left:
                self._left = memoryview(next(self._coming))
            skipped = max(start - self._at, 0)
            part = self._left[skipped : stop - self._at]
            taken = min(len(self._left), skipped + len(part))
            self._at, self._left = self._at + taken, self._left[taken:]
            if part:
                yield part
