"""Damaged and hostile files: whatever a file holds, only `PtzipError` or `OSError` leaves a public function.

Rule: the damage is seeded, so the same 2,400 files are tried in every run. What `slim` writes of a file that it still
takes opens again; where it fails nothing is left.
"""

import contextlib
import io
import random
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import ptzip
from ptzip.cli.main import main
from ptzip.container import structs, writer
from ptzip.container.archive import DEFLATED
from ptzip.container.writer import Record
from ptzip.pickling.nodes import walk
from ptzip.source import CHUNK, Literal
from ptzip.target import new_file
from tests import corpus
from tests.cli.samples import Records, archive, module_records, training_records

COUNT = 400
"""Files for each kind of damage."""

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

Damage = Callable[[random.Random], bytes]


def small_files() -> list[bytes]:
    """Small checkpoints: our own, and those of torch where the corpus is."""
    found = [path for path in corpus.files("format") if path.stat().st_size < 3000]
    return [archive(records) for records in SAMPLES] + [path.read_bytes() for path in found]


FILES = small_files()
OWN = len(SAMPLES)


def a_file(chance: random.Random) -> bytearray:
    """One of ours, which `slim` takes, or any."""
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
    """Lengths, counts and offsets of the zip's structures replaced by others."""
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
    """A whole zip around a pickle that was changed."""
    records = dict(chance.choice(SAMPLES))
    changed = bytearray(records["data.pkl"])
    change(changed)
    return archive(records | {"data.pkl": bytes(changed)})


def mispickled(chance: random.Random) -> bytes:
    """Opcodes and arguments of the pickle changed, moved, doubled or dropped, in a zip that is whole."""

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
"""Opcodes to put where they do not belong."""


def misrecorded(chance: random.Random) -> bytes:
    """Records dropped, renamed, doubled, cut or filled with something else, in a zip that is whole."""
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
    """A zip of records, of which several may have one name."""
    planned = writer.plan([Record(f"last/{name}", Literal(data)) for name, data in records])
    with tempfile.TemporaryFile() as file:
        writer.write(planned, file.fileno())
        return file.read()


KINDS: tuple[Damage, ...] = (flipped, truncated, spliced, mismeasured, mispickled, misrecorded)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


def look(path: Path) -> None:
    """All that there is to see of a checkpoint."""
    with ptzip.open(path) as checkpoint:
        _ = checkpoint.keys, checkpoint.anomalies, list(walk(checkpoint.root)), checkpoint.storages
        checkpoint.main.check_storages()


def read_values(path: Path) -> None:
    """All values of a checkpoint, as far as they are any."""
    with ptzip.open(path) as checkpoint:
        for tensor in checkpoint.tensors().values():
            with contextlib.suppress(ptzip.PtzipError):
                tensor.numpy()
    ptzip.load(path, unknown="keep")


VIEWS: tuple[tuple[str, ...], ...] = ((), ("--tensors",), ("--tree",), ("--records",), ("--opcodes",), ("--json",))


def inspect(path: Path, *flags: str) -> int:
    """What `ptzip inspect` comes to; what it prints is not looked at here."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main(["inspect", str(path), *flags])


def survive(data: bytes, folder: Path, recipe: str) -> bool:
    """Open and slim a file; whether that worked. Nothing but the errors of ptzip and of the system may come out."""
    path, out = folder / "in.pt", folder / "out" / "slim.pt"
    path.write_bytes(data)
    with contextlib.suppress(ptzip.PtzipError, OSError):
        look(path)
    with contextlib.suppress(ptzip.PtzipError, OSError):
        read_values(path)
    assert inspect(path, *VIEWS[len(data) % len(VIEWS)]) in (0, 2)
    try:
        report = ptzip.slim(path, out, recipe=recipe)
    except (ptzip.PtzipError, OSError):
        assert not list(out.parent.iterdir())
        return False
    if report.output:
        look(out)
        out.unlink()
    return True


@pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.__name__)
def test_no_damage_lets_another_error_out(damage: Damage, folder: Path) -> None:
    worked = 0
    for index in range(COUNT):
        chance = random.Random(f"{damage.__name__} {index}")
        worked += survive(damage(chance), folder, chance.choice(("auto", "basic")))
    assert worked < COUNT
    assert worked or damage in (truncated, spliced), "no file was good enough to be made slim: the damage is too large"


@pytest.mark.parametrize("records", SAMPLES)
def test_undamaged_the_files_are_made_slim(records: Records, folder: Path) -> None:
    assert survive(archive(records), folder, "auto")


def bomb(size: int) -> bytes:
    """Raw deflate of `size` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(CHUNK)
    return b"".join(packer.compress(zeros) for _ in range(size // CHUNK)) + packer.flush()


def bombed(folder: Path, name: str, claimed: int) -> Path:
    """A checkpoint in which one record inflates to 32 MiB, and is said to be of some size."""
    zeros = Record(f"last/{name}", Literal(bomb(32 * CHUNK)), DEFLATED, claimed)
    others = [Record(f"last/{other}", Literal(data)) for other, data in SAMPLES[0].items() if other != name]
    with new_file(folder / "bomb.pt") as descriptor:
        writer.write(writer.plan([zeros, *others]), descriptor)
    return folder / "bomb.pt"


def peak_of(action: Callable[[], object]) -> int:
    """The most memory that an action took, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_pickle_longer_than_allowed_is_a_limit_error_before_it_is_read(folder: Path) -> None:
    def refused() -> None:
        with pytest.raises(ptzip.LimitError, match="more than 1000"):
            ptzip.open(bombed(folder, "data.pkl", 1001), ptzip.Limits(pickle_bytes=1000))

    assert peak_of(refused) < 4 * CHUNK


@pytest.mark.parametrize("name", ["byteorder", ".storage_alignment"])
def test_a_small_record_that_claims_to_be_large_is_not_inflated(folder: Path, name: str) -> None:
    path = bombed(folder, name, 32 * CHUNK)
    assert peak_of(lambda: ptzip.slim(path, folder / "out.pt", dry_run=True)) < 4 * CHUNK


def test_a_storage_that_inflates_to_more_than_its_size_is_a_format_error(folder: Path) -> None:
    path = bombed(folder, "data/0", len(SAMPLES[0]["data/0"]))
    with pytest.raises(ptzip.FormatError, match="inflates to more"):
        ptzip.slim(path, folder / "out" / "slim.pt")
    assert not list((folder / "out").iterdir())
