"""`--html`: pages are written where they are named, and nothing else is overwritten."""

import sys
from pathlib import Path

import pytest

from ptzip.render.html import page
from tests.cli.shell import names, ptzip
from tests.small_checkpoints import save

COMMANDS = [
    pytest.param(("inspect", "last.pt"), id="inspect"),
    pytest.param(("diff", "last.pt", "last.pt"), id="diff"),
    pytest.param(("slim", "last.pt", "-n"), id="slim"),
]


@pytest.mark.html
@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_written_and_written_again(command: tuple[str, ...], last: Path) -> None:
    for _ in range(2):
        assert ptzip(*command, "--html", "out.html").code == 0
        assert Path("out.html").read_text().startswith("<!doctype html>")
    assert names() == ["last.pt", "out.html"]


@pytest.mark.html
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_page_is_not_overwritten(command: tuple[str, ...], last: Path) -> None:
    before = last.read_bytes()
    code, _, err = ptzip(*command, "--html", "last.pt")
    assert code == 2
    assert "last.pt already exists and is not an HTML page" in err
    assert last.read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_without_plotly_an_error_says_how_to_install_it(
    command: tuple[str, ...], last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page._plotly.cache_clear()  # what an earlier test loaded
    monkeypatch.setitem(sys.modules, "plotly", None)
    code, _, err = ptzip(*command, "--html", "out.html")
    assert code == 2
    assert "pip install 'ptzip[html]'" in err
    assert names() == ["last.pt"]


@pytest.mark.html
def test_a_page_of_slim_is_of_one_file(last: Path) -> None:
    save(Path("b.pt"))
    code, _, err = ptzip("slim", "last.pt", "b.pt", "--html", "out.html")
    assert code == 2
    assert "--html is the page of one file, and there are 2" in err


@pytest.mark.html
def test_a_file_that_does_not_open_has_no_page(folder: Path) -> None:
    Path("no.pt").write_bytes(b"nothing")
    code, _, err = ptzip("inspect", "no.pt", "--html", "out.html")
    assert code == 2
    assert "no.pt" in err
    assert names() == ["no.pt"]
