"""The pages of `ptzip help`: what they show is what ptzip prints, and the page on the format leaves no part of its file out.

The output in them is written anew by `PTZIP_REWRITE=1 python -m pytest tests/cli/test_help_pages.py`; read the difference then.
"""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.shell import in_terminal, ptzip
from tests.corpus import FIXTURES, ROOT

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REWRITES = os.environ.get("PTZIP_REWRITE", "") not in ("", "0")
PAGES = sorted((ROOT / "ptzip" / "help").glob("*.md"))
LINEAR = FIXTURES / "format" / "linear.pt"


def commands(page: str) -> list[str]:
    """The command lines of a page."""
    return re.findall(r"^\$ ptzip (.*)$", page, re.MULTILINE)


def regenerated(page: str) -> str:
    """The page with what its commands print now, in a terminal of 80 columns."""

    def printed(block: re.Match[str]) -> str:
        shown = [(words, in_terminal(80, *shlex.split(words), NO_COLOR="1")) for words in commands(block[1])]
        assert all(result.code == 0 for _, result in shown)
        return "```console\n" + "".join(f"$ ptzip {words}\n{result.out}" for words, result in shown) + "```"

    return BLOCK.sub(printed, page)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the file that the page on the format takes apart."""
    shutil.copy(LINEAR, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_what_ptzip_prints(path: Path) -> None:
    page = regenerated(path.read_text())
    if REWRITES:
        path.write_text(page)
    assert path.read_text() == page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_fits_a_terminal(path: Path) -> None:
    assert max(map(len, path.read_text().splitlines())) <= 80


def test_the_page_on_the_format_shows_every_structure_and_every_record() -> None:
    _, _, shown = (LINEAR.parents[2] / "ptzip" / "help" / "format.md").read_text().partition("## A local header")
    (mapped,) = json.loads(ptzip("inspect", LINEAR, "--map", "--json").out)["files"]
    for part in mapped["parts"]:
        is_alone = part["kind"] in ("storage", "record")  # of any other kind, one is like the next
        if part["kind"] != "pickle":
            assert f": {part['kind']}{'  ' + part['owner'] if is_alone else ''}" in shown


@pytest.mark.torch
def test_torch_writes_the_file_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(4, 2).state_dict(), "linear.pt")
    assert Path("linear.pt").read_bytes() == LINEAR.read_bytes()
