"""`ptzip average` on the command line: its lines, its flags, stdin and stdout."""

from pathlib import Path

import numpy as np
import pytest

import ptzip as package
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import names, one_line, ptzip
from tests.cli.test_streams import piped


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files of one layout in the current folder, whose integers differ."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        builder = CheckpointBuilder()
        state = {"a.weight": builder.tensor(number * numbers(4)), "n": builder.tensor(np.array(number))}
        builder.save(Path(f"{number}.pt"), state)
    return ["1.pt", "2.pt"]


def weight(path: str | bytes) -> list[float]:
    with package.open(path) as found:
        return found["a.weight"].numpy().tolist()  # type: ignore[no-any-return]


def test_the_report_says_what_was_averaged_and_what_is_of_the_first_file(files: list[str]) -> None:
    run = ptzip("average", *files, "-o", "x.pt", "--weights", "3,1", "--integers", "first")
    assert (run.code, run.err) == (0, "")
    size = f"{Path('x.pt').stat().st_size / 1000:.1f} kB"
    assert run.out.splitlines() == [
        f"x.pt: the weighted mean of 2 files, {size}",
        "   75.00%  1.pt",
        "   25.00%  2.pt",
        "  1 of 2 tensors averaged in float32, 1 as in 1.pt",
        "  not averaged, and of the first file where they differ: n",
    ]
    assert weight("x.pt") == [1.25, 2.5, 3.75, 5]
    assert ptzip("average", *files, "-o", "x.pt", "-f", "-q", "--integers", "first").out == ""
    assert weight("x.pt") == [1.5, 3, 4.5, 6]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("1.pt", "2.pt"), "x.pt: integers are not averaged, and differ in 1.pt and 2.pt: n (--integers first takes those of"),
        (("1.pt",), "x.pt: average needs at least 2 checkpoints, and got 1"),
        (("1.pt", "2.pt", "--weights", "1"), "x.pt: there are 1 weights for 2 checkpoints"),
        (("1.pt", "2.pt", "--weights", "-1,2"), "argument --weights"),
        (("1.pt", "2.pt", "--weights=-1,2"), "x.pt: the weights are -1.0, 2.0, expected positive numbers"),
        (("1.pt", "2.pt", "--weights", "1;2"), "argument --weights: invalid weights '1;2': expected numbers"),
        (("1.pt", "missing.pt"), "x.pt: no such file or directory: missing.pt"),
        (("-", "-"), "x.pt: stdin is one file"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_file(words: tuple[str, ...], message: str, files: list[str]) -> None:
    run = ptzip("average", *words, "-o", "x.pt")
    assert run.code == 2
    assert message in one_line(run, "ptzip: error: ") if "argument" not in message else message in run.err
    assert names() == files


def test_stdin_and_stdout_are_files_like_others(files: list[str]) -> None:
    done = piped(Path("1.pt").read_bytes(), "average", "-", "2.pt", "-o", "-", "--integers", "first")
    assert done.returncode == 0
    assert weight(done.stdout) == [1.5, 3, 4.5, 6]
