"""Lazy casts of payloads to float16 or bfloat16.

Rule: nothing is read or cast, and numpy is not loaded, before the bytes are asked for; how they are cast is in `narrowing`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ptzip.io.payloads import Payload
from ptzip.tensors.loss import Loss

CASTABLE = {"float16": frozenset({"float64", "float32", "bfloat16"}), "bfloat16": frozenset({"float64", "float32"})}
"""What is turned into each dtype. torch's `half()` takes float8 too, which no module holds as a weight; `bfloat16()` takes
float16, which would lose bits and gain nothing."""

NARROW = 2
"""The bytes of an element, of either."""


class Stretch(NamedTuple):
    """Elements of a storage of the input: from `first` to before `stop`."""

    key: str
    first: int
    stop: int


@dataclass(frozen=True)
class Cast:
    """A payload of floats, given in another dtype; `losses` fills while the chunks pass, from any thread."""

    base: Payload
    dtype: str
    item: int
    big_endian: bool = False
    target: str = "float16"
    saturate: bool = False
    origin: Stretch | None = None
    """Where the floats stand in the input."""
    losses: list[Loss] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.base.length // self.item * NARROW

    @property
    def seekable(self) -> bool:
        return self.base.seekable

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        from ptzip.tensors.rounding import floats, narrow  # here, so that whoever only plans does not wait for numpy

        first, last = (place // NARROW * self.item for place in (start, stop))
        for chunk in _whole_items(self.base.chunks(first, last), self.item):
            bits, loss = narrow(floats(chunk, self.dtype, self.big_endian), self.target, self.saturate)
            if loss != Loss():
                self.losses.append(loss)
            yield (bits.byteswap() if self.big_endian else bits).view("uint8").data

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
