"""What a file of many parts costs, which made some command quadratic: its CPU time and memory grow no faster than the file."""

import contextlib
import io
import json
import time
from pathlib import Path

import pytest

import ptzip
from ptzip.cli.main import main
from ptzip.tensors.tensor import Tensor
from ptzip.values.tensor_names import tensors_in
from tests.bench.shapes import DAMAGED, FILES, IN_MANY, bare
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


@pytest.mark.parametrize("shape", IN_MANY)
def test_what_is_shared_counts_each_time(shape: str) -> None:
    """2,000 parts in 2,000 others, 40 KB, took a minute in each command that looks at every value."""
    with pytest.raises(ptzip.LimitError, match="raise it with `--limit opcodes=N`"):
        ptzip.open(bare(IN_MANY[shape])(2000, 0))


@pytest.mark.parametrize("shape", IN_MANY)
def test_what_is_shared_a_little_is_read(shape: str) -> None:
    ptzip.open(bare(IN_MANY[shape])(200, 0)).close()


COMMANDS = {
    "slim": ["slim", "in.pt", "-o", "out.pt", "--no-scan", "--json", "--check"],
    "plain": ["slim", "in.pt", "-o", "out.pt", "--no-scan", "--plain", "--drop", "*.zzz"],
    "convert": ["convert", "in.pt", "-o", "out.npz", "--dtype", "float16"],
}
MANY = (
    "keys and tensors",
    "tensors of one name",
    "state dicts",
    "callbacks",
    "whole views",
    "nested modules",
    "module in modules",
)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shape", MANY)
def test_nothing_is_looked_for_among_all_others(
    shape: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,500 parts take up to 3 s; some took 10 times as long where each was compared with all others."""
    monkeypatch.chdir(tmp_path)
    Path("in.pt").write_bytes(FILES[shape][1](1500, 0))
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(COMMANDS[command])
    assert time.process_time() - start < 8


def test_tensors_of_one_name_are_numbered_in_order() -> None:
    """20,000 took a minute where each number was tried for each of them."""
    found = tensors_in([("", {float("nan"): Tensor() for _ in range(20_000)})])
    assert list(found)[:3] == ["nan", "nan (2)", "nan (3)"]
    assert len(found) == 20_000


def test_views_that_share_bytes_often_are_not_copied(tmp_path: Path) -> None:
    """100 KB became 150 MB, and 1 MB 15 GB."""
    with pytest.raises(ptzip.LimitError, match="tensors share 120,000 bytes so often"):
        ptzip.convert(FILES["whole views"][1](1500, 0), tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == []
