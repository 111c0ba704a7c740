"""Lazy casts: a payload of floats, read as float16 or bfloat16.

Nothing is read or cast before a chunk is pulled, and planning a cast does not load numpy. `rounding` computes the bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ptzip.io.buffers import Buffers
from ptzip.io.payloads import Payload
from ptzip.tensors.rounding import Loss, floats, narrow

CAST_SIZE = 2
"""The bytes of an element of either target."""


class Stretch(NamedTuple):
    """Elements of a storage of the input: from `first` to before `stop`."""

    key: str
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Cast:
    """A payload of floats of `item` bytes each, cast to `target`. `losses` fills while chunks are pulled, from any thread."""

    base: Payload
    dtype: str
    item: int
    big_endian: bool = False
    target: str = "float16"
    saturate: bool = False
    origin: Stretch | None = None
    """Where the floats are in the input."""
    losses: list[Loss] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.base.length // self.item * CAST_SIZE

    @property
    def seekable(self) -> bool:
        return self.base.seekable

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        first, last = (offset // CAST_SIZE * self.item for offset in (start, stop))
        for chunk in whole_items(self.base.chunks(first, last, buffers), self.item):
            numbers = floats(chunk, self.dtype, self.big_endian, buffers)
            bits, loss = narrow(numbers, self.target, self.saturate, buffers)
            if loss != Loss():
                self.losses.append(loss)
            yield (bits.byteswap() if self.big_endian else bits).view("uint8").data

    @property
    def loss(self) -> Loss:
        return sum(self.losses, Loss())


def whole_items(chunks: Iterator[bytes | memoryview], item: int) -> Iterator[bytes | memoryview]:
    """The same bytes, cut between elements."""
    rest = b""
    for chunk in chunks:
        if rest or len(chunk) % item:
            joined = rest + bytes(chunk)
            cut = len(joined) // item * item
            chunk, rest = joined[:cut], joined[cut:]
        if len(chunk):
            yield chunk
