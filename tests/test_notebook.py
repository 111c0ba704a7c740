"""What a notebook shows of checkpoints, tensors and reports."""

import html.parser
import sys
from pathlib import Path
from typing import Any

import pytest

import ptzip
from tests.small_checkpoints import save, training_records

MARKUP = "<script>alert(1)</script>"


class Tags(html.parser.HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.text = set[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint with markup in its keys and values."""
    values: dict[str, Any] = {MARKUP: MARKUP}
    return save(tmp_path / "a.pt", training_records(**values))


def shown(value: Any) -> str:
    """The text of what a notebook shows, which is one table and nothing else."""
    found = Tags(value._repr_html_())
    assert found.tags == {"table", "caption", "b", "tr", "th", "td"}
    return found.text


def test_a_checkpoint_is_shown_open_and_closed(path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        text = shown(checkpoint)
        assert "float32" in shown(checkpoint["model.conv.weight"])
    assert MARKUP in text
    assert "torch.save zip" in text
    assert "closed" in shown(checkpoint)


def test_a_broken_checkpoint_is_shown_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01")
    with ptzip.open(tmp_path / "a.pkl") as checkpoint:
        assert "the pickle ends without STOP" in shown(checkpoint)


def test_every_report_is_shown(path: Path, tmp_path: Path) -> None:
    reports = [
        ptzip.inspect(path),
        ptzip.scan(path),
        ptzip.verify(path),
        ptzip.slim(path, dry_run=True),
        ptzip.diff(path, path),
        ptzip.convert(path, tmp_path / "a.npz"),
        ptzip.repair(path, tmp_path / "b.pt"),
    ]
    for report in reports:
        text = shown(report)
        assert text.startswith(type(report).__name__)
        assert "a.pt" in text


@pytest.mark.html
def test_reports_about_bytes_and_differences_have_figures(path: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "b.pt", training_records(best_fitness=0.1))
    for report, kind in (
        (ptzip.inspect(path), "treemap"),
        (ptzip.slim(path, dry_run=True), "waterfall"),
        (ptzip.diff(path, other), "heatmap"),
    ):
        assert [trace.type for trace in report.figure().data] == [kind]


def test_a_figure_without_plotly_says_how_to_install_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ptzip.UnsupportedError, match=r"ptzip\[html\]"):
        ptzip.inspect(path).figure()
