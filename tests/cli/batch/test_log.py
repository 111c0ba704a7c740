"""Results as JSON Lines: a run goes on where another ended, wherever that was cut off."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.shell import ptzip, reports
from tests.small_checkpoints import save

NAMES = ["a.pt", "b.pt", "c.pt", "missing.pt"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three checkpoints, of which one is broken, in the current folder."""
    monkeypatch.chdir(tmp_path)
    save(Path("a.pt"))
    save(Path("b.pt"))
    Path("c.pt").write_bytes(b"PK\x03\x04 broken")


def lines(name: str = "out.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(name).read_bytes().splitlines()]


@pytest.mark.parametrize("command", ["scan", "verify", "inspect", "slim"])
def test_each_file_has_a_line_with_its_report(command: str) -> None:
    result = ptzip(command, "--json", "--jsonl", "out.jsonl", *NAMES)
    assert result.code == 2
    assert [line["report"] for line in lines()] == reports(result.out)
    assert {line["command"] for line in lines()} == {command}


@pytest.mark.parametrize("command", ["scan", "verify", "inspect", "slim -o out/"])
def test_a_run_goes_on_where_another_was_cut_off(command: str) -> None:
    """Cut at every byte of a line, and at the ends of others: each file that has a whole line is skipped."""
    words = command.split()
    whole = ptzip(*words, "--json", "--jsonl", "whole.jsonl", *NAMES)
    data = Path("whole.jsonl").read_bytes()
    ends = [at for at, byte in enumerate(data, 1) if byte == ord("\n")]
    for cut in {0, 1, 5, *ends, ends[0] + 1, ends[1] - 1, ends[2] - 2}:
        shutil.rmtree("out", ignore_errors=True)
        Path("cut.jsonl").write_bytes(data[:cut])
        again = ptzip(*words, "--json", "--resume", "cut.jsonl", *NAMES)
        assert (again.code, reports(again.out)) == (whole.code, reports(whole.out))
        last = {str(line["report"]["path"]): line for line in lines("cut.jsonl")}  # type: ignore[index]  # they are JSON
        assert set(last) == set(NAMES)


@settings(max_examples=25)
@given(st.integers(0, 3000))
def test_a_log_that_is_cut_anywhere_is_continued(cut: int) -> None:
    Path("out.jsonl").unlink(missing_ok=True)
    assert ptzip("scan", "-q", "--jsonl", "out.jsonl", *NAMES).code == 2
    Path("out.jsonl").write_bytes(Path("out.jsonl").read_bytes()[:cut])
    assert ptzip("scan", "-q", "--resume", "out.jsonl", *NAMES).code == 2
    assert {str(line["report"]["path"]) for line in lines()} == set(NAMES)  # type: ignore[index]  # they are JSON


def test_only_what_changed_or_failed_is_done_again() -> None:
    ptzip("verify", "--jsonl", "out.jsonl", *NAMES)
    save(Path("a.pt"), {})
    ptzip("verify", "--resume", "out.jsonl", *NAMES)
    again = [line["report"]["path"] for line in lines()[4:]]  # type: ignore[index]  # they are JSON
    assert again == ["a.pt", "missing.pt"]


def test_other_options_are_another_task() -> None:
    ptzip("scan", "--jsonl", "out.jsonl", "a.pt")
    ptzip("scan", "--resume", "out.jsonl", "a.pt")
    assert len(lines()) == 1
    ptzip("scan", "--resume", "out.jsonl", "a.pt", "--trust", "yolov5")
    assert len(lines()) == 2


def test_an_output_that_is_gone_is_written_again() -> None:
    ptzip("slim", "--jsonl", "out.jsonl", "a.pt")
    Path("a.slim.pt").unlink()
    assert ptzip("slim", "--resume", "out.jsonl", "a.pt").code == 0
    assert Path("a.slim.pt").exists()


def test_nothing_but_a_log_is_overwritten_or_continued() -> None:
    before = Path("a.pt").read_bytes()
    assert "is not what --jsonl writes" in ptzip("scan", "--resume", "a.pt", "b.pt").err
    assert "already exists: continue it with --resume a.pt" in ptzip("scan", "--jsonl", "a.pt", "b.pt").err
    assert Path("a.pt").read_bytes() == before


@pytest.mark.parametrize("flag", ["--jsonl", "--resume"])
def test_a_log_is_a_file(flag: str) -> None:
    assert "go to a file, not to stdout: name one" in ptzip("scan", "a.pt", flag, "-").err
    assert not Path("-").exists()


EDITS = (
    *((key, None) for key in ("command", "outcome", "code", "seconds", "task", "report")),
    *(("outcome", []), ("outcome", "clean"), ("code", "0"), ("stamp", 5), ("stamp", [1]), ("seconds", "1")),
    *(("report", {"path": "a.pt"}), ("report", {"path": "a.pt", "verdict": 5})),
)


@pytest.mark.parametrize(("key", "value"), EDITS, ids=str)
def test_a_file_whose_line_was_edited_is_done_again(key: str, value: object) -> None:
    first = ptzip("scan", "--jsonl", "out.jsonl", "c.pt")
    (line,) = lines()
    path = {"path": "c.pt"}
    edited = line | {key: value | path if isinstance(value, dict) else value}
    lost = {name: one for name, one in line.items() if name != key}
    for bad in (edited, lost):
        Path("out.jsonl").write_text(json.dumps(bad, separators=(",", ":")) + "\n")
        again = ptzip("scan", "--resume", "out.jsonl", "c.pt")
        assert (again.code, again.out) == (first.code, first.out)
        assert lines()[1]["report"] == line["report"]
