"""The flags for many files, on every command that has them: however the files are shared, the results are the same."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.shell import ptzip, reports, shell
from tests.small_checkpoints import save, training_records

COMMANDS = ["scan", "verify", "inspect", "slim -n"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ten checkpoints, of which the third is broken and the fifth is missing, in the current folder."""
    monkeypatch.chdir(tmp_path)
    names = [f"{number}.pt" for number in range(10)]
    for name in names:
        save(Path(name), training_records())
    Path(names[2]).write_bytes(b"PK\x03\x04 broken")
    Path(names[4]).unlink()
    return names


@pytest.mark.parametrize("command", COMMANDS)
def test_processes_print_what_one_does(command: str, files: list[str]) -> None:
    runs = [shell(*command.split(), *files, *flags) for flags in (["-j", "1"], ["-j", "3", "--timeout", "60"])]
    assert runs[0] == runs[1]
    assert runs[0].code == 2


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_files_are_named_in_a_list(command: str, end: str, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(f"{name}{end}" for name in files).encode()
    Path("list.txt").write_bytes(data)
    named = ptzip(*command.split(), *files)
    assert ptzip(*command.split(), "--files-from", "list.txt") == named
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert ptzip(*command.split(), "--files-from", "-", "-j", "1") == named


def test_names_with_line_ends_are_listed_with_nul() -> None:
    save(Path("a\nb.pt"))
    Path("list.txt").write_bytes(b"a\nb.pt\0")
    assert [one["path"] for one in reports(ptzip("verify", "--json", "--files-from", "list.txt").out)] == ["a\nb.pt"]


def test_an_empty_list_is_no_error() -> None:
    Path("list.txt").touch()
    assert ptzip("scan", "--files-from", "list.txt") == (0, "", "")
    assert ptzip("verify", "--files-from", "list.txt") == (0, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_parts_together_are_all_files(command: str, files: list[str]) -> None:
    whole = reports(ptzip(*command.split(), "--json", *files).out)
    parts = [reports(ptzip(*command.split(), "--json", *files, "--shard", f"{number}/3").out) for number in (1, 2, 3)]
    assert sorted((one for part in parts for one in part), key=lambda one: str(one["path"])) == whole


def test_two_parts_never_write_one_output(files: list[str]) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        save(Path(folder, "last.pt"))
    runs = [ptzip("slim", "a/last.pt", "b/last.pt", "-o", "out/", "--shard", f"{number}/4") for number in (1, 2, 3, 4)]
    assert sum("was written for another input of this run" in run.err for run in runs) == 1
    assert sum(run.code == 2 for run in runs) == 1


def test_many_files_end_with_a_summary(files: list[str]) -> None:
    assert ptzip("slim", "-n", *files).out.splitlines()[-1].startswith("10 files: 2 failed, 8 would be slimmed; ")
    assert ", of which slim saves " in ptzip("slim", "-n", *files).out.splitlines()[-1]
    assert ptzip("verify", *files).out.splitlines()[-1].startswith("10 files: 1 damaged, 1 failed, 8 intact; ")
    assert ptzip("scan", *files).out.splitlines()[-1].startswith("10 files: 8 OK, 2 UNREADABLE; ")


@pytest.mark.posix("a bound for the memory of a process")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound what a process maps")
@pytest.mark.parametrize("command", ["scan", "verify", "slim -n"])
def test_a_file_beyond_a_bound_is_reported_and_the_others_are_done(command: str, files: list[str]) -> None:
    deep = Path("deep.pt")
    deep.write_bytes(b"\x80\x02" + b"](" * 400_000 + b"e" * 400_000 + b".")
    run = ptzip(*command.split(), "0.pt", deep, "1.pt", "--memory", "40MB", "--jsonl", "out.jsonl")
    outcomes = {line["report"]["path"]: line["outcome"] for line in map(json.loads, Path("out.jsonl").read_text().splitlines())}
    assert outcomes["deep.pt"] == "memory", run.err
    assert run.code == 2
    assert len(outcomes) == 3


@pytest.mark.parametrize("words", ["--timeout 0", "--timeout inf", "--memory 0", "--memory much", "--shard 4/3", "-j x"])
def test_a_wrong_value_is_one_error(words: str) -> None:
    run = ptzip("scan", "0.pt", *words.split())
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"ptzip: error: argument {words.split()[0]}")


@pytest.mark.parametrize("flag", ["--files-from", "--jsonl", "--resume", "--config"])
def test_lists_and_logs_are_files_on_this_machine(flag: str) -> None:
    run = ptzip("scan", "0.pt", flag, "https://name:secret@example.org/list?key=secret")
    assert run.code == 2
    assert "https://example.org/list is a URL: expected a file on this machine" in run.err
    assert "secret" not in run.err


def test_views_are_not_for_many_processes() -> None:
    assert "is about summaries of whole files" in ptzip("inspect", "--tree", "0.pt", "--timeout", "3").err
