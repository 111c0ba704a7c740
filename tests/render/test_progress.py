"""The progress bar itself; when there is one is told by `tests/cli/test_progress.py`."""

import pytest

from ptzip.render.progress import bar


def test_a_bar_counts_up_and_prints_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("last.pt") as advance:
        for done in (0, 500, 1000):
            advance(done, 1000)
    assert capsys.readouterr().out == ""


def test_a_bar_ends_with_its_block_when_that_raises() -> None:
    for _ in range(2):  # rich refuses a second live display while one is left
        with pytest.raises(OSError, match="full"), bar("last.pt"):
            raise OSError("full")
