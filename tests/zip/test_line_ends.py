"""Line ends: how all of a file were converted is seen whatever its size, and added ones are removed in pieces."""

import random
import zipfile
from pathlib import Path

import pytest

import ptzip
from ptzip.io.sources import BytesSource
from ptzip.zip import line_ends
from ptzip.zip.line_ends import EXPANDED, SHORT, STRIPPED, converted_line_ends, with_line_feeds


def archive(path: Path, size: int, seed: int = 1) -> bytes:
    """A zip of random bytes with some pairs among them."""
    noise = random.Random(seed)
    with zipfile.ZipFile(path, "w") as made:
        for index in range(4):
            made.writestr(f"a/{index}", noise.randbytes(size // 8) + b"\r\n" + noise.randbytes(size // 8))
    return path.read_bytes()


@pytest.mark.parametrize("size", [2_000, 60_000, 900_000])
def test_removed_carriage_returns_are_named_in_files_of_any_size(size: int, tmp_path: Path) -> None:
    data = archive(tmp_path / "a.zip", size)
    assert converted_line_ends(BytesSource(data)) == ""
    (tmp_path / "b.zip").write_bytes(data.replace(b"\r\n", b"\n"))
    assert converted_line_ends(BytesSource(data.replace(b"\r\n", b"\n"))) == SHORT
    problem = ptzip.verify(tmp_path / "b.zip").problems[0]
    assert problem.message.startswith(f"{SHORT}, as by a transfer in text mode")


def test_removed_carriage_returns_of_a_large_file_are_sure(tmp_path: Path) -> None:
    data = archive(tmp_path / "a.zip", 3 << 20)
    assert converted_line_ends(BytesSource(data.replace(b"\r\n", b"\n"))) == STRIPPED


@pytest.mark.parametrize("lost", [300, 4096])
def test_a_lost_block_is_no_conversion(lost: int, tmp_path: Path) -> None:
    data = archive(tmp_path / "a.zip", 60_000).replace(b"\r\n", b"..")
    assert converted_line_ends(BytesSource(data[:10_000] + data[10_000 + lost :])) == ""


@pytest.mark.parametrize("size", [0, 1, 7, 64, 1000])
def test_added_carriage_returns_are_removed_in_pieces(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_ends, "CHUNK", 7)
    data = bytes(random.Random(size).choices(b"\r\nab", k=size))
    expanded = data.replace(b"\n", b"\r\n")
    source = with_line_feeds(BytesSource(expanded, "x.pt"))
    assert source.read(0, source.size) == data
    assert source.name == "x.pt"
    source.close()
    if data.count(b"\n") >= line_ends.FEW:
        assert converted_line_ends(BytesSource(expanded)) == EXPANDED
