"""Mutations of small checkpoints. Each creates one file from a seeded generator, so every run gets the same files."""

import pickletools
import random
import struct
import tempfile
from collections.abc import Callable

from ptzip.io.payloads import BytesPayload
from ptzip.zip import structs, writer
from ptzip.zip.writer import Record
from tests import corpus
from tests.small_checkpoints import Records, archive, module_records, training_records

SIGNATURES = (structs.LOCAL_SIGNATURE, structs.CENTRAL_SIGNATURE, structs.DESCRIPTOR_SIGNATURE, structs.END_SIGNATURE)
ENDS64 = (structs.END64_SIGNATURE, structs.LOCATOR64_SIGNATURE)
EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)

SAMPLES: tuple[Records, ...] = (
    training_records(),
    module_records(),
    training_records(8, "cuda:0", best_fitness=[(1, 2.5), None]),
)

Mutation = Callable[[random.Random], bytes]


def small_files() -> list[bytes]:
    """Small checkpoints: our own, and those of torch if the corpus is present."""
    found = [path for path in corpus.files("format") if path.stat().st_size < 3000]
    return [archive(records) for records in SAMPLES] + [path.read_bytes() for path in found]


FILES = small_files()
OWN = len(SAMPLES)


def a_file(chance: random.Random) -> bytearray:
    """One of ours, which `slim` accepts, or any."""
    return bytearray(FILES[chance.randrange(OWN)] if chance.random() < 0.6 else chance.choice(FILES))


def flipped(chance: random.Random) -> bytes:
    """A few bits changed."""
    data = a_file(chance)
    for _ in range(chance.choice((1, 2, 5, 20))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def truncated(chance: random.Random) -> bytes:
    """A part missing at the end, at the beginning, or in the middle."""
    data = a_file(chance)
    start, stop = sorted(chance.sample(range(len(data)), 2))
    return bytes(chance.choice((data[:start], data[start:], data[:start] + data[stop:])))


def spliced(chance: random.Random) -> bytes:
    """Half of one file, half of another."""
    one, other = a_file(chance), a_file(chance)
    return bytes(one[: chance.randrange(len(one))] + other[chance.randrange(len(other)) :])


def mismeasured(chance: random.Random) -> bytes:
    """Lengths, counts and offsets in the structures of the zip replaced."""
    data = a_file(chance)
    signature = chance.choice(SIGNATURES + ENDS64)
    places = [at for at in range(len(data)) if data.startswith(signature, at)]
    for _ in range(chance.choice((1, 1, 2, 4))):
        layout = chance.choice("HIQ")
        at = (chance.choice(places) if places else 0) + chance.randrange(4, 56)
        value = chance.choice(EXTREMES) & (1 << 8 * struct.calcsize(layout)) - 1
        data[at : at + struct.calcsize(layout)] = struct.pack(f"<{layout}", value)
    return bytes(data)


def with_pickle(chance: random.Random, change: Callable[[bytearray], None]) -> bytes:
    """A valid zip around a changed pickle."""
    records = dict(chance.choice(SAMPLES))
    changed = bytearray(records["data.pkl"])
    change(changed)
    return archive(records | {"data.pkl": bytes(changed)})


def mispickled(chance: random.Random) -> bytes:
    """Opcodes and arguments of the pickle changed, moved, duplicated or dropped, in a valid zip."""

    def change(data: bytearray) -> None:
        for _ in range(chance.choice((1, 1, 2, 4))):
            at, length = chance.randrange(2, len(data)), chance.choice((1, 1, 2, 5, 30))
            piece = chance.choice((b"", data[at : at + length] * 2, chance.randbytes(length), chance.choice(PIECES)))
            data[at : at + chance.choice((0, 1, length))] = piece

    return with_pickle(chance, change)


PIECES: tuple[bytes, ...] = (
    *(b"N", b"0", b"(", b"1", b"2", b"}", b"]", b")", b"s", b"u", b"a", b"e", b"b", b"R", b"t", b"l", b"d", b"Q", b"."),
    *(b"\x81", b"\x85", b"\x86", b"\x87", b"\x93", b"\x94", b"K\x00", b"M\xff\xff", b"J\xff\xff\xff\xff", b"I9x\n", b"F1\n"),
    *(b"h\x00", b"q\x00", b"q\xff", b"r\xff\xff\xff\x7f", b"p99999999999999999999\n", b"X\0\0\0\0", b"Pid\n", b"cos\nsystem\n"),
    b"\x8a\x09\0\0\0\0\0\0\0\0\x7f",
)
"""Opcodes to insert at random positions."""


def overnumbered(chance: random.Random) -> bytes:
    """Integers of the pickle replaced by one that Python refuses to convert to decimal, in a valid zip."""
    rate = chance.choice((0.05, 0.3, 1))

    def change(data: bytearray) -> None:
        ops = list(pickletools.genops(bytes(data)))
        ends = [at for _, _, at in ops[1:]] + [len(data)]
        for (op, _, at), end in reversed(list(zip(ops, ends, strict=True))):
            if op.name in ("BININT", "BININT1", "BININT2", "LONG1") and at is not None and chance.random() < rate:
                data[at:end] = HUGE

    return with_pickle(chance, change)


HUGE = b"\x8b" + (2501).to_bytes(4, "little") + (1 << 20_000).to_bytes(2501, "little")
"""A LONG4 opcode with its argument."""


def misrecorded(chance: random.Random) -> bytes:
    """Records dropped, renamed, duplicated, cut or replaced, in a valid zip."""
    records = list(chance.choice(SAMPLES).items())
    for _ in range(chance.choice((1, 2, 3))):
        at = chance.randrange(len(records))
        name, data = records[at]
        records[at : at + 1] = chance.choice(
            (
                [],
                [(name, data), (name, b"again")],
                [(name.upper(), data)],
                [(chance.choice(NAMES), data)],
                [(name, data[: chance.randrange(len(data) + 1)])],
                [(name, data + b"more")],
                [(name, chance.choice(FILLINGS))],
                [(name, data), (chance.choice(NAMES), chance.choice(FILLINGS))],
            )
        )
        records = records or [("data.pkl", b"N.")]
    return archived(records)


NAMES = (
    "data.pkl",
    "data/0",
    "data/",
    "data/x/y",
    "",
    "/",
    "byteorder",
    ".storage_alignment",
    "constants.pkl",
    "../up",
    "a\0b",
    "\udcff",
)
FILLINGS = (
    b"",
    b"N.",
    b"}.",
    b"big",
    b"65600",
    b"0",
    b"-1",
    b"99999999",
    b"\xff" * 9,
    b"(" * 99,
    b"]" * 99 + b"a" * 98 + b".",
    b"text\n",
)


def archived(records: list[tuple[str, bytes]]) -> bytes:
    """A zip of records, whose names may repeat."""
    planned = writer.plan([Record(f"last/{name}", BytesPayload(data)) for name, data in records])
    with tempfile.TemporaryFile() as file:
        planned.write(file.fileno())
        return file.read()


KINDS: dict[str, Mutation] = {
    kind.__name__: kind for kind in (flipped, truncated, spliced, mismeasured, mispickled, overnumbered, misrecorded)
}
