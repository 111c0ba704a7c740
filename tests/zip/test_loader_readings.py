"""What loaders see in a zip, compared with the loaders themselves: on well-formed zips, and on mutated ones.

A loader may refuse more than its row says, for a single entry for example; what it opens is opened here with the same entries.
"""

import io
import random
import struct
import zipfile
from collections.abc import Iterator

import pytest

from ptzip.formats.torchzip import prefix_of
from ptzip.io.sources import BytesSource
from ptzip.zip import structs
from ptzip.zip.loader_readings import disagreement, readings
from ptzip.zip.reader import Archive
from tests.zip.loader_zips import end, end64, laid, whole

FILES = {"a/data.pkl": b"\x80\x02N.", "a/data/0": b"PK\x03\x04" + bytes(60), "a/version": b"3\n"}
MANY = {f"a/{number}": b"" for number in range(20)} | FILES


def with_zip64(files: dict[str, bytes]) -> bytes:
    body, directory = laid(files)
    return body + directory + end64(len(files), len(directory), len(body))


def doubled(files: dict[str, bytes]) -> bytes:
    """Two equal directories; torch reads the first, zipfile the second."""
    body, directory = laid(files)
    return body + directory * 2 + end(len(files), len(directory), len(body))


SEEDS = {
    "plain": whole(FILES),
    "behind other bytes": b"PK\x03\x04" + bytes(40) + whole(FILES),
    "zip64": with_zip64(FILES),
    "many entries": whole(MANY),
    "two directories": doubled(FILES),
    "two zips": whole(FILES) * 2,
    "an end in the comment": whole(FILES)[:-2] + b"\x16\x00" + end(1, 46, 0),
    "zeros behind it": whole(FILES) + bytes(69_500),
}
MUTATIONS = 500
"""For each of these zips; the same in every run."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The zip with some numbers changed, mostly in its structures, or bytes added or removed."""
    changed = bytearray(data)
    marks = [at for at in range(len(changed) - 3) if changed.startswith(b"PK", at)] or [0]
    for _ in range(chance.randint(1, 3)):
        at = min(chance.choice(marks) + chance.randrange(56), len(changed) - 1)
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] = (changed[at] + chance.choice((1, -1, 4, 46, chance.randrange(256)))) % 256
        elif kind == 1 and at + 4 <= len(changed):
            width = chance.choice(("<H", "<I"))
            (number,) = struct.unpack_from(width, changed, at)
            full = structs.FULL16 if width == "<H" else structs.FULL32
            struct.pack_into(width, changed, at, (number + chance.choice((1, -1, 46, -46, len(data) // 2))) & full)
        elif kind == 2:
            changed[at:at] = bytes(chance.choice((1, 20, 22, 46, 56)))
        else:
            del changed[at : at + chance.choice((1, 22, 46, 56))]
    return bytes(changed)


def by_zipfile(data: bytes) -> list[tuple[int, int, int]] | None:
    """Where zipfile finds each entry, and its sizes; None where it refuses the zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(one.header_offset, one.compress_size, one.file_size) for one in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, OverflowError, struct.error):
        return None


def by_torch(data: bytes) -> list[tuple[str, int]] | None:
    """Where torch finds each record; None where it refuses the zip."""
    try:
        import torch

        reader = torch._C.PyTorchFileReader(io.BytesIO(data))
        return [(name, reader.get_record_header_offset(name)) for name in reader.get_all_records()]
    except (RuntimeError, ValueError, OSError):
        return None


def inputs(name: str) -> Iterator[bytes]:
    chance = random.Random(name)
    yield SEEDS[name]
    for _ in range(MUTATIONS if len(SEEDS[name]) < 10_000 else 50):
        yield mutated(SEEDS[name], chance)


def archive_of(loader: str, data: bytes) -> Archive:
    (found,) = (one for one in readings(BytesSource(data)) if one.loader.name == loader)
    assert found.archive is not None, found.refusal
    return found.archive


@pytest.mark.parametrize("name", SEEDS)
def test_what_zipfile_opens_is_opened_with_the_same_entries(name: str) -> None:
    for data in inputs(name):
        expected = by_zipfile(data)
        if expected is not None:
            entries = archive_of("zipfile", data).entries
            assert [(one.header_offset, one.compressed_size, one.size) for one in entries] == expected


@pytest.mark.torch
@pytest.mark.parametrize("name", SEEDS)
def test_what_torch_opens_is_opened_with_the_same_records(name: str) -> None:
    for data in inputs(name):
        expected = by_torch(data)
        if expected is not None:
            entries = archive_of("torch", data).entries
            prefix = prefix_of(entries[0].name)
            assert [one.name.partition("\0")[0] for one in entries] == [prefix + record for record, _ in expected]
            offsets = {(one.name.lower(), one.header_offset) for one in entries}  # torch finds either of two equal names
            assert all(((prefix + record).lower(), offset) in offsets for record, offset in expected)


@pytest.mark.parametrize("name", ["plain", "zip64", "many entries"])
def test_loaders_agree_on_a_well_formed_zip(name: str) -> None:
    assert disagreement(readings(BytesSource(SEEDS[name]))) == ""


def test_a_refusal_says_why() -> None:
    data = whole(FILES) + bytes(69_500)
    assert "torch reads 3 entries" in disagreement(readings(BytesSource(data)))
    assert "zipfile refuses it (there is no end of central directory where it looks for one)" in disagreement(
        readings(BytesSource(data))
    )
