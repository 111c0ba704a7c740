"""Copies of one piece of a tensor in several files, of which all have to be equal."""

from collections.abc import Iterator, Sequence

from ptzip.errors import FormatError
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.io.buffers import Buffers
from ptzip.io.sources import CHUNK
from ptzip.tensors.strides import contiguous


class Replicas:
    """A payload: the elements of the first of some copies, `item` bytes each, in row-major order.

    Reading compares them with those of all others. Raises FormatError where some differ.
    """

    seekable = True

    def __init__(self, name: str, item: int, copies: Sequence[Piece]) -> None:
        self.name = name
        self.item = item
        self.copies = copies
        self.length = copies[0].numel * item

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes | memoryview]:
        for at in range(start, stop, CHUNK):
            yield from self._compared(at, min(at + CHUNK, stop))

    def _compared(self, start: int, stop: int) -> Iterator[bytes]:
        data = None
        for copy in self.copies:
            found = b"".join(copy.chunks(self.item, start, stop, None))
            if data is None:
                data = found
            elif found != data:
                raise self._difference(copy)
        if data is not None:
            yield data

    def _difference(self, other: Piece) -> FormatError:
        return FormatError(
            f"tensor {self.name} is not split, but differs between {self.copies[0].name} and {other.name}: take one of the "
            "files, if you know which is right"
        )


def one_of(name: str, item: int, copies: Sequence[Piece]) -> Piece:
    """Copies as one piece."""
    first = copies[0]
    if len(copies) == 1:
        return first
    payload = Replicas(name, item, copies)
    return Piece(first.offsets, first.sizes, lambda: Stored(payload, 0, contiguous(first.sizes)), first.name)
