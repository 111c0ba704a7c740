"""What `scan` accepts as a source, and how it reports what it cannot read."""

import io
from pathlib import Path

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import PAYLOAD, in_zip, valued

HOSTILE = valued(PAYLOAD)


def test_a_path_bytes_and_a_file_object_are_scanned_alike(tmp_path: Path) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(HOSTILE)
    with path.open("rb") as file:
        reports = [scan(path), scan(str(path)), scan(HOSTILE), scan(io.BytesIO(HOSTILE)), scan(file)]
        assert not file.closed
    assert {report.verdict for report in reports} == {Verdict.MALICIOUS}
    assert len({report.findings for report in reports}) == 1


def test_something_other_than_a_regular_file_is_unreadable(tmp_path: Path) -> None:
    report = scan(tmp_path)
    assert (report.path, report.verdict) == (str(tmp_path), Verdict.UNREADABLE)
    assert report.reason


def test_a_file_that_does_not_exist_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "missing.pt")


def test_the_names_that_pickles_import_are_listed_without_duplicates() -> None:
    assert scan(valued(PAYLOAD + PAYLOAD + b"\x86")).globals == ("posix.system",)


@pytest.mark.parametrize("data", [b"", b"hello", in_zip(b"")[:200]], ids=["nothing", "text", "a zip that is cut off"])
def test_a_file_of_no_known_format_is_unreadable(data: bytes) -> None:
    assert scan(data).verdict == Verdict.UNREADABLE
