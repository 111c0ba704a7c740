"""The page about many files, of scan and of inspect: its numbers are those of the reports."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ptzip import inspect
from tests.cli.shell import ptzip
from tests.small_checkpoints import save, training_records

REPORT = re.compile(r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two equal checkpoints, another one, and a broken one, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("a.pt", 2000), ("b.pt", 2000), ("c.pt", 3000)):
        save(Path(name), training_records(count))
    Path("d.pt").write_bytes(b"PK\x03\x04 broken")
    return ["a.pt", "b.pt", "c.pt", "d.pt"]


def sections(name: str = "page.html") -> dict[str, list[list[Any]]]:
    """The rows of each section of a page."""
    found = REPORT.search(Path(name).read_text())
    assert found
    return {section["title"]: section["content"]["rows"] for section in json.loads(found[1])["sections"]}


@pytest.mark.html
@pytest.mark.parametrize("command", ["scan", "inspect"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_page_sums_up_all_files(command: str, jobs: str, files: list[str]) -> None:
    ptzip(command, *files, "--html", "page.html", "-j", jobs)
    shown = sections()
    saved = sum(inspect(name).slimming.saved for name in files[:3])
    assert [row[:2] for row in shown["Verdicts"]] == [["clean", 3], ["unreadable", 1]]
    assert shown["Verdicts"][0][3] == saved
    assert f"{saved:,} bytes" in dict(map(tuple, shown["Summary"]))["slim would save"]
    assert {row[4] for row in shown["In several files"]} == {"a.pt, b.pt"}
    assert sorted(row[0] for row in shown["Files"]) == files


@pytest.mark.html
def test_a_run_that_goes_on_makes_the_same_page(files: list[str]) -> None:
    ptzip("scan", *files, "--html", "page.html", "--jsonl", "out.jsonl")
    ptzip("scan", *files, "--html", "again.html", "--resume", "out.jsonl")
    assert sections("again.html") == sections()


def test_a_page_that_cannot_be_written_is_an_error_before_the_first_file(files: list[str]) -> None:
    run = ptzip("scan", *files, "--html", "a.pt")
    assert (run.code, run.out) == (2, "")
    assert "a.pt already exists and is not an HTML page" in run.err
