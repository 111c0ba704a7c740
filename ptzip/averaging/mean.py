"""The weighted mean of payloads of floats, number by number.

The order of operations is that of `numpy.average`, and of a loop over state dicts in torch: `x[0] * w[0]`, to which
`x[1] * w[1]` and so on are added in the order of the files, divided by the sum of the weights, all in float32 or float64, and
rounded once to the dtype. A weight or a sum of 1 changes no number and is left out. Where all files have the same bits, these
stay: weights that were frozen, masks of infinities, the payload bits of a NaN.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ptzip.averaging.inputs import errors_about
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import Payload
from ptzip.tensors.cast import whole_items
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.rounding import array, floats, narrow, widened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Piece = bytes | memoryview
HALF = ("float16", "bfloat16")


class Floats(NamedTuple):
    """The bytes of floats in one file, whose name is for errors about it."""

    payload: Payload
    big_endian: bool = False
    name: str = ""

    def pieces(self, start: int, stop: int, item: int, buffers: Buffers | None) -> Iterator[Piece]:
        """The bytes from `start` to `stop`, cut between elements of `item` bytes."""
        with errors_about(self.name):
            yield from whole_items(self.payload.chunks(start, stop, buffers), item)


@dataclass(frozen=True)
class Mean:
    """A payload of the mean of `inputs`, which are floats of `dtype` and equally long, in the byte order of the first.

    `wide` is float32 or float64, in which it is computed. `nans` is not empty once there was a NaN that not all have.
    """

    inputs: tuple[Floats, ...]
    weights: tuple[float, ...]
    dtype: str
    wide: str
    nans: list[bool] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.inputs[0].payload.length

    @property
    def seekable(self) -> bool:
        return all(one.payload.seekable for one in self.inputs)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[memoryview]:
        item = BY_NAME[self.dtype].size
        streams = [
            one.pieces(start, stop, item, buffers and buffers.other(f"input {number}"))
            for number, one in enumerate(self.inputs)
        ]
        for pieces in in_step(streams):
            bits = self._mean(pieces, buffers)
            yield (bits.byteswap() if self.inputs[0].big_endian else bits).view("uint8").data

    def _mean(self, pieces: list[memoryview], buffers: Buffers | None) -> "npt.NDArray[np.unsignedinteger[Any]]":
        """The bits of the mean, in native byte order."""
        import numpy as np  # here and below, so that planning does not load numpy

        unsigned = np.dtype(f"u{BY_NAME[self.dtype].size}")
        bits = [
            np.frombuffer(piece, unsigned.newbyteorder(">" if one.big_endian else "<"))
            for piece, one in zip(pieces, self.inputs, strict=True)
        ]
        first = bits[0].astype(unsigned, copy=False)
        same = array(buffers, "same", first.size, np.bool_)
        same.fill(True)
        for other in bits[1:]:
            np.logical_and(same, np.equal(first, other, out=array(buffers, "equal", first.size, np.bool_)), out=same)
        if same.all():
            return first
        with np.errstate(all="ignore"):  # numpy keeps this per thread
            total = self._sum(pieces, buffers)
            if np.isnan(total.min()) and bool((np.isnan(total) & ~same).any()):
                self.nans.append(True)
            rounded = (
                narrow(total, self.dtype, buffers=buffers)[0] if self.dtype in HALF else total.astype(self.dtype, copy=False)
            )
        found = rounded.view(unsigned)
        np.copyto(found, first, where=same)
        return found

    def _sum(self, pieces: list[memoryview], buffers: Buffers | None) -> "npt.NDArray[np.floating]":
        """The mean in the wide dtype."""
        import numpy as np  # as above

        total = scaled = array(buffers, "mean", len(pieces[0]) // BY_NAME[self.dtype].size, np.dtype(self.wide).type)
        for piece, one, weight in zip(pieces, self.inputs, self.weights, strict=True):
            numbers = self._numbers(piece, one.big_endian, buffers)
            if weight != 1:
                np.multiply(numbers, weight, out=scaled, dtype=self.wide)
                numbers = scaled
            if scaled is total:
                np.copyto(total, numbers)
                scaled = array(buffers, "scaled", total.size, total.dtype.type)
            else:
                np.add(total, numbers, out=total, dtype=self.wide)
        whole = math.fsum(self.weights)
        return np.divide(total, whole, out=total) if whole != 1 else total

    def _numbers(self, piece: memoryview, big_endian: bool, buffers: Buffers | None) -> "npt.NDArray[np.floating]":
        """The numbers in some bytes, those of 16 bits widened."""
        import numpy as np  # as above

        if self.dtype == "float16":
            return widened(
                np.frombuffer(piece, f"{'>' if big_endian else '<'}u2").astype("u2", copy=False), self.dtype, buffers
            )
        return floats(piece, self.dtype, big_endian, buffers)


def in_step(streams: list[Iterator[Piece]]) -> Iterator[list[memoryview]]:
    """The pieces of streams, cut so that each has the same length in all; up to the end of the shortest."""
    rests = [memoryview(b"")] * len(streams)
    while True:
        rests = [rest or memoryview(next(stream, b"")) for rest, stream in zip(rests, streams, strict=True)]
        size = min(map(len, rests))
        if not size:
            return
        yield [rest[:size] for rest in rests]
        rests = [rest[size:] for rest in rests]
