"""A seeded run of the fuzz target: 20,000 inputs, and nothing but `PtzipError` comes out of any.

The inputs are the same in every run. Most are bare pickles, which are the quickest; the rest are whole files, damaged.
"""

import random
import time

import pytest

from tests.fuzz.target import one
from tests.mutations import KINDS, PIECES, SAMPLES
from tests.scanning.raw_pickles import PAYLOAD, call, name, pickled, raw, stack_global, text

pytestmark = pytest.mark.slow

COUNT = 20_000
MOST_SECONDS = 60
FILES = 0.4
"""The share of whole files."""

VALUES = (
    *(
        PAYLOAD,
        call("collections.OrderedDict"),
        name("torch.FloatStorage"),
        stack_global("torch", "Tensor"),
        raw(b"\x80\x02N."),
    ),
    *(
        text("a"),
        b"}",
        b"]",
        b")",
        b"K\x01",
        b"(",
        b"N",
        b"\x8a\x03abc",
        b"I0x10\n",
        b"cmodels\nNet\n",
        b"\x94",
        b"q\x00",
        b"h\x00",
    ),
    *PIECES,
)
STREAMS = tuple(records["data.pkl"] for records in SAMPLES)


def made(chance: random.Random) -> bytes:
    """One input."""
    kind = chance.random()
    if kind < FILES:
        return KINDS[chance.choice(list(KINDS))](chance)
    if kind < 0.6:
        return pickled(b"".join(chance.choice(VALUES) for _ in range(chance.randrange(30))), chance.choice((2, 3, 4, 5)))
    data = bytearray(chance.choice(STREAMS)[:600] if kind < 0.8 else b"".join(chance.choices(VALUES, k=12)))
    for _ in range(chance.choice((1, 3, 10))):
        at = chance.randrange(len(data) + 1)
        data[at : at + chance.choice((0, 1, 4))] = chance.choice((chance.randbytes(2), chance.choice(VALUES)))
    return bytes(data)


def test_any_bytes_raise_only_errors_of_ptzip() -> None:
    started = time.perf_counter()
    for index in range(COUNT):
        one(made(random.Random(index)))
    assert time.perf_counter() - started < MOST_SECONDS
