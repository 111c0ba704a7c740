"""Lazy casts of payloads to float16, and what they lose.

Rule: the bytes are those of `tensor.half()`: round to nearest even, float64 and bfloat16 through float32 (`format.md` 6
measured that torch rounds float64 twice). `numkong` casts several times faster where it is installed; its bytes are the
same but for the payload of NaNs, which a test holds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ptzip.source import Payload

fast_cast: Callable[..., object] | None
"""`numkong.astype`, where it is installed."""
try:
    from numkong import astype
except ImportError:
    fast_cast = None
else:
    fast_cast = astype

CASTABLE = frozenset({"float64", "float32", "bfloat16"})
"""What `half()` turns into float16 (its float8 aside, which no module holds as a weight)."""

HALF_SIZE = 2
INFINITY = 0x7C00
MAGNITUDE = 0x7FFF
"""The bits of a float16: its infinity, and all but the sign."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How many finite values a cast turned to infinity, and how many values other than zero to zero."""

    overflowed: int = 0
    vanished: int = 0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(self.overflowed + other.overflowed, self.vanished + other.vanished)


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
        first, last = (place // HALF_SIZE * self.item for place in (start, stop))
        for chunk in _whole_items(self.base.chunks(first, last), self.item):
            halves, loss = to_half(floats(chunk, self.dtype, self.big_endian))
            if loss != Loss():
                self.losses.append(loss)
            yield (halves.byteswap() if self.big_endian else halves).view(np.uint8).data

    @property
    def loss(self) -> Loss:
        return sum(self.losses, Loss())


def floats(data: bytes | memoryview, dtype: str, big_endian: bool = False) -> npt.NDArray[np.floating]:
    """The numbers in some bytes: float32, or float64 as it is."""
    order = ">" if big_endian else "<"
    if dtype == "bfloat16":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    numbers: npt.NDArray[np.floating] = np.frombuffer(data, f"{order}f{np.dtype(dtype).itemsize}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def to_half(numbers: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float16], Loss]:
    """float16 of float32 or float64 numbers, and what was lost."""
    with np.errstate(all="ignore"):  # numpy keeps this per thread
        singles = numbers.astype(np.float32, copy=False)
        halves = _half(singles)
    return halves, _loss(numbers, halves)


def _half(singles: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    if fast_cast is None:
        return singles.astype(np.float16)
    halves = np.empty(singles.shape, np.float16)
    fast_cast(singles, "float16", out=halves)
    return halves


def _loss(numbers: npt.NDArray[np.floating], halves: npt.NDArray[np.float16]) -> Loss:
    """Counted from the bits of the result; the numbers are looked at only where it holds an infinity or a zero."""
    bits = halves.view(np.uint16) & MAGNITUDE
    overflowed = vanished = 0
    if bits.size and bits.max() >= INFINITY:
        overflowed = int(np.count_nonzero(bits == INFINITY) - np.count_nonzero(np.isinf(numbers)))
    zeros = bits.size - np.count_nonzero(bits)
    if zeros:
        vanished = int(zeros - (numbers.size - np.count_nonzero(numbers)))
    return Loss(overflowed, vanished)


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
