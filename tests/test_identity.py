"""The second law: what is read and written again is the same, byte for byte.

It holds for the pickle streams of every file of the corpus and the fixtures, and for every zip that torch wrote, rebuilt
from nothing but its records. The few files that other writers made are listed by name, and must differ.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptzip.io.atomic_output import new_files
from ptzip.io.payloads import read_all
from ptzip.io.sources import BytesSource, FileSource, Source
from ptzip.pickling.nodes import Atom
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from ptzip.zip import writer
from ptzip.zip.find_archives import is_zip
from ptzip.zip.reader import Archive, read_archive
from ptzip.zip.writer import ALIGNMENT, Record
from tests import corpus

OTHER_WRITERS = {
    "format/syn/deflated.pt": "its deflated entries say that no version is needed to extract them",
    "format/syn/deflated_pkl_only.pt": "its deflated entry says that no version is needed to extract it",
    "format/syn/trailing_zeros.pt": "100 zeros follow its end record",
    "format/syn/unaligned.pt": "its payloads are not aligned",
    "format/syn/zip_comment.pt": "it has a comment",
    "real/gh__DLR-RM__rl-trained-agents/Acrobot-v1.zip": "python's zipfile wrote it",
    "real/gh__DLR-RM__rl-trained-agents/MountainCar-v0.zip": "python's zipfile wrote it",
    "real/gh__DLR-RM__rl-trained-agents/PandaReach-v1.zip": "python's zipfile wrote it",
    "real/gh__DLR-RM__rl-trained-agents/Pendulum-v1.zip": "python's zipfile wrote it",
    "real/gh__pytorch__executorch/etrecord.bin": "python's zipfile wrote it",
}

SHARD = "format/t213/dcp_shard.distcp"

NO_PICKLES = {
    "format/syn/truncated.pt": "a zip that is cut off",
    SHARD: "several zips one after another, whose offsets count from their own beginnings",
    "format/t213/safetensors_as.pt": "safetensors",
    "real/gh__deepjavalibrary__djl/list.safetensors": "safetensors",
    "real/gh__Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/RFB-320.bin": "weights of another program",
    "real/gh__mmaitre314__picklescan/bad_pytorch.pt": "eight bytes of text",
    "real/gh__mmaitre314__picklescan/not_a_pickle.bin": "seven bytes of text",
    "real/gh__pytorch__executorch/etrecord.bin": "a zip of other things",
    "real/gh__pytorch__serve/model.pt": "an empty file",
}

MAGIC, LEGACY_PICKLES = 0x1950A86A20F9469CFC6C, 5
"""A legacy file is so many pickles in a row, the first of which is that number; raw storages follow."""

FIXTURES = [pytest.param(path, id=f"fixtures/{path.name}") for path in sorted(corpus.FIXTURES.glob("*.pt"))]
FILES = [*corpus.parameters("yolo", "format", "real"), *FIXTURES]
"""One case for each file, or a skipped one if the corpus is missing."""

PICKLED = [case for case in FILES if case.id not in NO_PICKLES]
ZIPS = [case for case in FILES if case.marks or (case.id != SHARD and zipfile.is_zipfile(case.values[0]))]


def name_of(path: Path) -> str:
    return str(path.relative_to(corpus.CORPUS)) if path.is_relative_to(corpus.CORPUS) else path.name


@pytest.fixture
def source(path: Path) -> Iterator[FileSource]:
    opened = FileSource(path)
    yield opened
    opened.close()


def rebuilt(found: Archive, place: Path) -> bytes:
    """The file that is written of an archive's records."""
    recorded = [entry for entry in found.entries if entry.name.endswith("/.storage_alignment")]
    alignment = int(read_all(recorded[0].payload)) if recorded else ALIGNMENT
    records = [Record(entry.name, entry.stored, entry.method, entry.size, entry.crc) for entry in found.entries]
    with new_files([place]) as files:
        files.outputs[0].write(writer.plan(records, alignment))
    return place.read_bytes()


@pytest.mark.parametrize("path", ZIPS)
def test_a_zip_of_torch_rebuilt_from_its_records_is_identical(path: Path, source: FileSource, tmp_path: Path) -> None:
    is_same = rebuilt(read_archive(source), tmp_path / "rebuilt.pt") == path.read_bytes()
    assert is_same is (name_of(path) not in OTHER_WRITERS)


@pytest.mark.parametrize("path", ZIPS)
def test_a_rebuilt_zip_is_whole_for_python(path: Path, source: FileSource, tmp_path: Path) -> None:
    found = read_archive(source)
    rebuilt(found, tmp_path / "rebuilt.pt")
    with zipfile.ZipFile(tmp_path / "rebuilt.pt") as made:
        assert [info.orig_filename for info in made.infolist()] == [entry.name for entry in found.entries]
        for info, entry in zip(made.infolist(), found.entries, strict=True):
            info.CRC = None  # type: ignore[assignment]  # some savers record none, which python would call damage
            assert made.read(info) == read_all(entry.payload)


def pickles(source: Source) -> Iterator[tuple[bytes, int]]:
    """Every pickle of a file, as bytes and where it begins in them: those in zips, and in zips in these, too."""
    if source.size and is_zip(source):
        for entry in read_archive(source).entries:
            data = read_all(entry.payload)
            if entry.name.lower().endswith(".pkl"):
                yield data, 0
            elif entry.name.endswith((".pth", ".pt")):
                yield from pickles(BytesSource(data))
        return
    data = source.read(0, source.size)
    first = read_pickle(data)
    yield data, 0
    at = first.end
    if isinstance(first.root, Atom) and first.root.value == MAGIC:
        for _ in range(LEGACY_PICKLES - 1):
            yield data, at
            at = read_pickle(data, at).end


@pytest.mark.parametrize("path", PICKLED)
def test_every_pickle_is_written_as_it_was_read(source: FileSource) -> None:
    found = 0
    for data, start in pickles(source):
        stream = read_pickle(data, start)
        assert stream.anomalies == []
        assert write_pickle(stream) == data[start : stream.end]
        found += 1
    assert found
