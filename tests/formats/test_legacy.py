"""The old format as output: torch reads the same from it as from the zip."""

import dataclasses
from pathlib import Path

import pytest

import ptzip
from ptzip.errors import EditError
from ptzip.formats.legacy import Legacy
from tests.corpus import CORPUS, FIXTURES, needs_corpus
from tests.torch_reference import differences, summary

NAMES = ["training", "sharing", "tensors", "yolov5-v7.0-adam", "ultralytics-8.4"]


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_torch_reads_the_same_from_a_stream_as_from_a_zip(name: str, tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "zip.pt")
    ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "stream.pt", format="legacy")
    assert differences(summary(tmp_path / "stream.pt"), summary(tmp_path / "zip.pt")) == []


def test_a_stream_becomes_a_zip_or_stays_one(tmp_path: Path) -> None:
    stream = tmp_path / "stream.pt"
    ptzip.slim(FIXTURES / "training.pt", stream, format="legacy", dtype="keep")
    with ptzip.open(stream) as found:
        assert isinstance(found.container, Legacy)
    ptzip.slim(stream, tmp_path / "same.pt", format="same")
    ptzip.slim(stream, tmp_path / "zip.pt", format="zip")
    with ptzip.open(tmp_path / "same.pt") as same, ptzip.open(tmp_path / "zip.pt") as as_zip:
        assert isinstance(same.container, Legacy)
        assert not isinstance(as_zip.container, Legacy)


def test_a_slim_stream_becomes_a_zip_where_that_is_asked_for(tmp_path: Path) -> None:
    stream = tmp_path / "stream.pt"
    ptzip.slim(FIXTURES / "training.pt", stream, format="legacy")
    assert ptzip.slim(stream, tmp_path / "out.pt").already_slim
    assert ptzip.slim(stream, tmp_path / "zip.pt", format="zip").output is not None


def test_the_same_input_gives_the_same_stream(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        ptzip.slim(FIXTURES / "training.pt", tmp_path / name, format="legacy")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_dry_run_tells_the_size_of_the_stream(tmp_path: Path) -> None:
    report = ptzip.slim(FIXTURES / "training.pt", format="legacy", dry_run=True)
    done = ptzip.slim(FIXTURES / "training.pt", tmp_path / "out.pt", format="legacy")
    assert report.new_size == done.new_size == (tmp_path / "out.pt").stat().st_size
    assert dataclasses.replace(done, output=None).saved == report.saved


@needs_corpus
def test_what_the_old_format_has_no_place_for_is_refused(tmp_path: Path) -> None:
    path = CORPUS / "format" / "t213" / "dtype_float8_e4m3fn.pt"
    with pytest.raises(EditError, match="cannot be written in the legacy format"):
        ptzip.slim(path, tmp_path / "out.pt", format="legacy")
    assert list(tmp_path.iterdir()) == []
