"""The pages of `ptzip help`: what they show is what ptzip prints, and the page on the format leaves no part of its file out."""

import json
import re
import shutil
from pathlib import Path

import pytest

from ptzip.cli.main import COMMANDS
from ptzip.render.topics import topics
from tests.cli.shell import ptzip
from tests.corpus import FIXTURES, ROOT
from tests.examples import PYTHON, assert_examples_print, run_program

PAGES = sorted((ROOT / "ptzip" / "help").glob("*.md"))
LINEAR = FIXTURES / "format" / "linear.pt"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_what_ptzip_prints(path: Path) -> None:
    assert_examples_print(path, 80)


@pytest.mark.parametrize("program", [program for path in PAGES for program in PYTHON.findall(path.read_text())])
def test_the_python_of_a_page_runs(program: str) -> None:
    run_program(program)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_fits_a_terminal(path: Path) -> None:
    assert max(map(len, path.read_text().splitlines())) <= 80


def test_the_help_of_a_command_names_the_pages_about_it() -> None:
    for command in COMMANDS:
        assert command.pages
        assert set(command.pages) <= set(topics())
        assert all(f"ptzip help {page}" in " ".join(ptzip("help", command.name).out.split()) for page in command.pages)


def test_the_page_on_the_format_shows_every_structure_and_every_record() -> None:
    _, _, shown = (LINEAR.parents[2] / "ptzip" / "help" / "format.md").read_text().partition("## A local header")
    (mapped,) = json.loads(ptzip("inspect", LINEAR, "--map", "--json").out)["files"]
    for part in mapped["parts"]:
        is_alone = part["kind"] in ("storage", "record")  # of any other kind, one is like the next
        if part["kind"] != "pickle":
            assert f": {part['kind']}{'  ' + part['owner'] if is_alone else ''}" in shown


def test_the_commands_of_the_recipes_for_ci_do_their_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, copy in (("tensors.pt", "models/a.pt"), ("training.pt", "runs/last.pt"), ("training.pt", "last.pt")):
        Path(copy).parent.mkdir(exist_ok=True)
        shutil.copy(FIXTURES / name, copy)
    text = (ROOT / "ptzip" / "help" / "ci.md").read_text()
    lines = re.findall(r"(?:run: |- |cmd: |RUN |&& )ptzip (.*?)(?= &&|$)", text, re.MULTILINE)
    for line in lines:
        assert ptzip(*line.replace("/model.pt", "model.pt").split()).code == 0, line
    written = ["ptzip.sarif", "scan.json", "models/last.pt", "model.pt"]
    assert len(lines) == 6
    assert all(Path(name).exists() for name in written)


def test_the_hooks_of_pre_commit_pass_what_is_slim_and_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "training.pt", "last.pt")
    assert ptzip("slim", "-q", "last.pt").code == 0
    scan, check = re.findall(r"entry: ptzip (.*)", (ROOT / ".pre-commit-hooks.yaml").read_text())
    assert ptzip(*scan.split(), "--trust", "yolov5", "last.pt", "last.slim.pt").code == 0
    assert ptzip(*check.split(), "last.slim.pt").code == 0
    assert ptzip(*check.split(), "last.pt", "last.slim.pt").code == 1


@pytest.mark.torch
def test_torch_writes_the_file_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(4, 2).state_dict(), "linear.pt")
    assert Path("linear.pt").read_bytes() == LINEAR.read_bytes()
