"""The fields of every header of a zip, to be damaged one by one, and lengths at which a file is cut.

The fields are those that a reader needs: signatures, names, lengths, sizes, checksums, methods, flags, counts, offsets.
"""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ptzip.io.sources import BytesSource
from ptzip.zip import structs
from ptzip.zip.find_archives import zips_in
from ptzip.zip.reader import Archive, read_archive
from ptzip.zip.structs import HAS_DESCRIPTOR
from tests import corpus

FIELDS = {
    "local header": "signature 0 4, flags 6 2, method 8 2, crc 14 4, stored size 18 4, size 22 4, name length 26 2, "
    "extra length 28 2, name 30 3",
    "entry": "signature 0 4, flags 8 2, method 10 2, crc 16 4, stored size 20 4, size 24 4, name length 28 2, "
    "extra length 30 2, comment length 32 2, offset 42 4, name 46 3",
    "descriptor": "signature 0 4, crc 4 4, stored size 8 4, size 12 4",
    "zip64 end": "signature 0 4, entries here 24 8, entries 32 8, directory size 40 8, directory offset 48 8",
    "locator": "signature 0 4, offset 8 8",
    "end": "signature 0 4, entries here 8 2, entries 10 2, directory size 12 4, directory offset 16 4, comment length 20 2",
}
"""Each header's fields: name, offset in the header and length, in bytes (APPNOTE 4.3)."""


class Flip(NamedTuple):
    """One flipped bit of one field: `at` is its offset in the file, `byte` the new value of that byte."""

    header: str
    field: str
    at: int
    byte: int

    def of(self, data: bytes) -> bytes:
        """The content of a file with the bit flipped."""
        return data[: self.at] + bytes([self.byte]) + data[self.at + 1 :]


def zips(*folders: str) -> list[Path]:
    """The intact zips among the fixtures and the files of the corpus."""
    found = [*corpus.files(*folders), *sorted(corpus.FIXTURES.glob("*.pt"))]
    return [path for path in found if _begins(path) and path.name != "truncated.pt"]


def _begins(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == structs.LOCAL_SIGNATURE


def headers(data: bytes) -> dict[str, list[int]]:
    """The offsets of the headers of each kind."""
    found: dict[str, list[int]] = {kind: [] for kind in FIELDS}
    for window in zips_in(BytesSource(data))[0]:
        for kind, at in _of(read_archive(window)):
            found[kind].append(getattr(window, "offset", 0) + at)
    return {kind: places for kind, places in found.items() if places}


def _of(archive: Archive) -> Iterator[tuple[str, int]]:
    at = (archive.end64 or archive.end).directory_offset
    for entry in archive.entries:
        yield "local header", entry.header_offset
        yield "entry", at
        at += structs.length_of(entry.central)
        if entry.local.flags & HAS_DESCRIPTOR:
            yield "descriptor", entry.data_offset + entry.compressed_size
    if archive.end64:
        yield from (("zip64 end", at), ("locator", at + structs.END64_SIZE))
    yield "end", archive.end_offset


def flips(data: bytes, count: int, seed: str) -> Iterator[Flip]:
    """`count` bits of headers, to be flipped one at a time."""
    chance, found = random.Random(seed), headers(data)
    for _ in range(count):
        kind = chance.choice(sorted(found))
        field, place, length = chance.choice(FIELDS[kind].split(", ")).rsplit(" ", 2)
        at = chance.choice(found[kind]) + int(place) + chance.randrange(int(length))
        yield Flip(kind, field, at, data[at] ^ 1 << chance.randrange(8))


@contextlib.contextmanager
def turned(path: Path, flip: Flip) -> Iterator[None]:
    """Flip the bit in a file, and restore it at the end."""
    with path.open("r+b", buffering=0) as file:
        before = os.pread(file.fileno(), 1, flip.at)
        os.pwrite(file.fileno(), bytes([flip.byte]), flip.at)
        yield
        os.pwrite(file.fileno(), before, flip.at)


def copied(path: Path, folder: Path) -> Path:
    """A writable copy."""
    place = folder / "damaged.pt"
    place.write_bytes(path.read_bytes())
    return place


def cuts(size: int, count: int, seed: str) -> list[int]:
    """`count` lengths at which a file is cut off, the longest first."""
    return sorted(random.Random(seed).sample(range(1, size), min(count, size - 1)), reverse=True)
