"""What a file of many parts costs, which made some command quadratic: its CPU time and memory grow no faster than the file."""

import contextlib
import time
from pathlib import Path

import pytest

import ptzip
from tests.bench.shapes import DAMAGED, FILES
from tests.test_mutations import peak_of


@pytest.mark.parametrize("shape", DAMAGED)
def test_a_repair_takes_time_for_each_header_once(shape: str, tmp_path: Path) -> None:
    """3,000 took up to 28 s where each record was looked for among all headers; they take up to 4 s, until a limit is said."""
    data = DAMAGED[shape][1](3000, 0)
    start = time.process_time()
    with contextlib.suppress(ptzip.FormatError, ptzip.LimitError):
        ptzip.repair(data, tmp_path / "repaired.pt")
    assert time.process_time() - start < 8


def test_names_of_headers_that_overlap_are_not_all_kept(tmp_path: Path) -> None:
    data = DAMAGED["headers of long names"][1](5000, 0)

    def repaired() -> None:
        with pytest.raises(ptzip.FormatError):
            ptzip.repair(data, tmp_path / "repaired.pt")

    assert peak_of(repaired) < 64 << 20


def test_a_long_name_that_all_entries_share_is_not_in_each_message() -> None:
    data = FILES["entries of one long name"][1](2000, 0)
    assert peak_of(lambda: ptzip.verify(data)) < 32 << 20
    messages = [problem.message for problem in ptzip.verify(data).problems]
    assert any(message.endswith("... (65,535 bytes) in the record's own header") for message in messages)
