"""Damaged and hostile files: whatever a file holds, only `PtzipError` or `OSError` leaves a public function.

The damage is seeded, so the same 2,800 files are tried in every run. What `slim` writes of a file that it still
takes opens again; where it fails nothing is left.
"""

import json
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import ptzip
from ptzip.io.atomic_output import new_files
from ptzip.io.payloads import BytesPayload
from ptzip.io.sources import CHUNK
from ptzip.zip import writer
from ptzip.zip.structs import DEFLATED
from ptzip.zip.writer import Record
from tests.corpus import ROOT
from tests.mutation_run import survive
from tests.mutations import KINDS, SAMPLES
from tests.small_checkpoints import Records, archive

pytestmark = pytest.mark.slow

COUNT = 400
"""Files for each kind of damage."""

MOST_SECONDS, MOST_MIB = 5, 512
"""What one file may take through open, inspect, load and slim."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_lets_another_error_out_or_takes_much_time_or_memory(kind: str, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.mutation_run", kind, str(COUNT), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["worked"] < COUNT
    assert result["worked"] or kind in ("truncated", "spliced"), "no file was good enough to be made slim: too much damage"
    assert result["slowest"] < MOST_SECONDS
    assert result["peak"] < MOST_MIB


@pytest.mark.parametrize("records", SAMPLES)
def test_undamaged_the_files_are_made_slim(records: Records, folder: Path) -> None:
    assert survive(archive(records), folder, "auto")


def bomb(size: int) -> bytes:
    """Raw deflate of `size` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(CHUNK)
    return b"".join(packer.compress(zeros) for _ in range(size // CHUNK)) + packer.flush()


def bombed(folder: Path, name: str, claimed: int) -> Path:
    """A checkpoint in which one record inflates to 32 MiB, with some declared size."""
    zeros = Record(f"last/{name}", BytesPayload(bomb(32 * CHUNK)), DEFLATED, claimed)
    others = [Record(f"last/{other}", BytesPayload(data)) for other, data in SAMPLES[0].items() if other != name]
    with new_files([folder / "bomb.pt"]) as files:
        files.outputs[0].write(writer.plan([zeros, *others]))
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
        with pytest.raises(ptzip.LimitError, match="above the limit of 1,000"):
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
