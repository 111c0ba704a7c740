"""The table of `ptzip diff`: it fits the width, and keeps what tells tensors apart."""

from pathlib import Path

import pytest

import ptzip
from ptzip.render.diff import MOST_SHOWN, lines
from ptzip.render.words import UNLIMITED
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.corpus import FIXTURES

TITLE = "  tensors that differ most"


def table(report: ptzip.DiffReport, width: int) -> list[str]:
    shown = list(lines(report, width=width))
    return [line for line in shown[shown.index(TITLE) + 1 :] if line.startswith("    ")]


@pytest.fixture(scope="module")
def report() -> ptzip.DiffReport:
    return ptzip.diff(FIXTURES / "yolov5-v6.0.pt", FIXTURES / "yolov5-v6.2.pt")


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140])
def test_it_fits_the_width(width: int, report: ptzip.DiffReport) -> None:
    head, *rows, more = table(report, width)
    assert max(map(len, (head, *rows))) <= width
    assert len(rows) == MOST_SHOWN
    assert more.endswith("more (--all shows them)")


def test_narrower_tables_have_fewer_columns_but_the_same_tensors(report: ptzip.DiffReport) -> None:
    whole, narrow = table(report, UNLIMITED), table(report, 60)
    assert whole[0].split() == ["name", "dtype", "shape", "absolute", "relative", "cosine", "differ"]
    assert narrow[0].split() == ["name", "absolute", "differ"]
    assert [line.split()[0] for line in narrow] == [line.split()[0] for line in whole]


def test_a_long_name_loses_its_middle(tmp_path: Path) -> None:
    name = f"first.{'middle.' * 20}last"
    for first in (1, 2):
        builder = CheckpointBuilder()
        builder.save(tmp_path / f"{first}.pt", {name: builder.tensor(numbers(4, first))})
    _, row = table(ptzip.diff(tmp_path / "1.pt", tmp_path / "2.pt"), 80)
    assert len(row) <= 80
    begin, _, end = row.split()[0].partition("...")
    assert name.startswith(begin)
    assert name.endswith(end)
