"""What a file of many parts costs, which made some command quadratic: its CPU time and memory grow no faster than the file."""

import contextlib
import io
import json
import time
from pathlib import Path

import pytest

import ptzip
from ptzip.cli.main import main
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


SHARED = [f"shared {kind} (pickle)" for kind in ("text", "bytes", "number")]


@pytest.mark.parametrize("shape", SHARED)
def test_a_long_value_that_is_shared_is_shown_once(shape: str, tmp_path: Path) -> None:
    """400 KB to which 1,000 references follow took 1 to 5 GB where each was shown."""
    path = tmp_path / "shared.pt"
    path.write_bytes(FILES[shape][1](1000, 0))
    with (tmp_path / "output").open("w") as output, contextlib.redirect_stdout(output):
        assert peak_of(lambda: main(["inspect", str(path), "--tree", "--all"])) < 32 << 20
    assert (tmp_path / "output").stat().st_size < 2 << 20


@pytest.mark.parametrize("shape", SHARED)
def test_a_sidecar_is_no_multiple_of_the_file(shape: str, tmp_path: Path) -> None:
    def converted() -> None:
        with pytest.raises(ptzip.LimitError, match="too many for a sidecar"):
            ptzip.convert(FILES[shape][1](4000, 0), tmp_path / "out.safetensors", sidecar=True)

    assert peak_of(converted) < 128 << 20


def test_keys_of_one_text_are_numbered_in_the_order_of_the_file(tmp_path: Path) -> None:
    """20,000 took a minute where each number was tried for each key."""
    start = time.process_time()
    ptzip.convert(FILES["keys of one text (pickle)"][1](20_000, 0), tmp_path / "out.safetensors", sidecar=True)
    assert time.process_time() - start < 8
    assert list(json.loads((tmp_path / "out.json").read_text())["extra"])[:3] == ["nan", "nan (2)", "nan (3)"]


def test_long_values_that_are_shared_are_compared_once() -> None:
    """The references to 1.6 MB were compared byte by byte, 6 GB in all."""
    data = FILES["shared text (pickle)"][1](4000, 0)
    other = data.replace(b"wordwordq", b"wordworfq")
    found = ptzip.diff(data, other)
    assert len(found.changed) == 4000


def test_a_deep_tree_is_shown_in_lines_of_bounded_length(tmp_path: Path) -> None:
    """Indented by all their levels, 10,000 lines had 100 MB; each of 1,000 names of one deep list had 20 KB."""
    deep = tmp_path / "deep.pkl"
    deep.write_bytes(b"\x80\x02(" + b"]" * 9999 + b"]q\x00" + b"a" * 9999 + b"h\x00" * 1000 + b"l.")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["inspect", str(deep), "--tree", "--all", "--limit", "paths=2000000"]) == 0
    rows = output.getvalue().splitlines()
    assert rows[10_001].endswith("[level 10,001] 0: list, empty")
    assert max(map(len, rows)) < 4100
