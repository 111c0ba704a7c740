"""Lazy casts of payloads to float16.

Rule: nothing is read or cast, and numpy is not loaded, before the bytes are asked for; how they are cast is in `halves`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ptzip.source import Payload
from ptzip.tensors.loss import Loss

CASTABLE = frozenset({"float64", "float32", "bfloat16"})
"""What `half()` turns into float16 (its float8 aside, which no module holds as a weight)."""

HALF_SIZE = 2


@dataclass(frozen=True)
class Cast:
    """A payload of floats, given as float16; `losses` fills while the chunks pass, from any thread."""

    base: Payload
    dtype: str
    item: int
    big_endian: bool = False
    losses: list[Loss] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.base.length // self.item * HALF_SIZE

    @property
    def seekable(self) -> bool:
        return self.base.seekable

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        from ptzip.tensors.halves import floats, to_half  # here, so that whoever only plans a cast does not wait for numpy

        first, last = (place // HALF_SIZE * self.item for place in (start, stop))
        for chunk in _whole_items(self.base.chunks(first, last), self.item):
            halves, loss = to_half(floats(chunk, self.dtype, self.big_endian))
            if loss != Loss():
                self.losses.append(loss)
            yield (halves.byteswap() if self.big_endian else halves).view("uint8").data

    @property
    def loss(self) -> Loss:
        return sum(self.losses, Loss())


def _whole_items(chunks: Iterator[bytes | memoryview], item: int) -> Iterator[bytes | memoryview]:
    """The same bytes, cut between elements."""
    rest = b""
    for chunk in chunks:
        if rest or len(chunk) % item:
            joined = rest + bytes(chunk)
            cut = len(joined) // item * item
            chunk, rest = joined[:cut], joined[cut:]
        if len(chunk):
            yield chunk
