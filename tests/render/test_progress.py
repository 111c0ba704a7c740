"""The progress bar itself; `tests/cli/test_progress.py` has when there is one."""

import pytest

from ptzip.render.progress import MovingBar


def test_a_bar_counts_up_and_prints_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    bar = MovingBar(1000)
    bar.show("last.pt", 0)
    for done in (0, 500, 1000):
        bar.move(done)
    bar.hide()
    assert capsys.readouterr().out == ""


def test_a_hidden_bar_can_be_shown_again() -> None:
    bar = MovingBar(1000)
    for _ in range(2):
        bar.show("last.pt", 0)
        bar.hide()
