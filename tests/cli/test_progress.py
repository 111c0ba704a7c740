"""The progress bar: on a terminal only, for large files only, and never between a user and what he asked for.

The bar is seen through a pseudo-terminal, as a user's terminal would see it.
"""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ptzip.cli import printing
from tests.cli.shell import environment
from tests.small_checkpoints import save

BAR = "━"
"""What rich draws a bar with."""

SMALL_ENOUGH = "import sys; from ptzip.cli import main, printing; printing.BAR_FROM = 1000; sys.exit(main.main(sys.argv[1:]))"
"""ptzip with bars for files of 1,000 bytes on."""

AS_IT_IS = "import sys; from ptzip.cli import main; sys.exit(main.main(sys.argv[1:]))"


class Seen(NamedTuple):
    """What a run printed: `terminal` is what went to the terminal, `out` what went to a stdout that was redirected."""

    code: int
    terminal: str
    out: str


def on_a_terminal(program: str, *words: str, redirected: str = "") -> Seen:
    """Run a program whose stderr is a terminal, and stdout too unless it is redirected to the file of that name."""
    ours, theirs = pty.openpty()
    out = Path(redirected).open("wb") if redirected else None  # noqa: SIM115 (closed below)
    command = [sys.executable, "-c", program, *words]
    settings = environment({"TERM": "xterm", "COLUMNS": "100", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"})
    with subprocess.Popen(command, stdin=theirs, stdout=out or theirs, stderr=theirs, env=settings) as running:
        os.close(theirs)
        terminal = _read(ours)
    if out:
        out.close()
    return Seen(running.returncode, terminal, Path(redirected).read_text() if redirected else "")


def _read(terminal: int) -> str:
    """All that a terminal shows until nobody has it open."""
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux says so at the end
            chunk = b""
        if not chunk:
            os.close(terminal)
            return shown.decode()
        shown += chunk


def test_a_large_file_gets_a_bar_on_a_terminal(last: Path) -> None:
    seen = on_a_terminal(SMALL_ENOUGH, "slim", "last.pt")
    assert seen.code == 0
    assert BAR in seen.terminal
    assert "last.pt" in seen.terminal


def test_the_bar_goes_away_and_leaves_the_report(last: Path) -> None:
    seen = on_a_terminal(SMALL_ENOUGH, "slim", "last.pt")
    after = seen.terminal.rpartition(BAR)[2]
    assert "last.pt -> last.slim.pt  [basic]" in after
    assert "\x1b[2K" in after  # the line of the bar is erased


def test_the_bar_stays_out_of_a_redirected_stdout(last: Path) -> None:
    seen = on_a_terminal(SMALL_ENOUGH, "slim", "last.pt", redirected="report.txt")
    assert BAR in seen.terminal
    assert seen.out.startswith("last.pt -> last.slim.pt  [basic]\n")
    assert BAR not in seen.out
    assert "\x1b" not in seen.out


def test_a_small_file_gets_no_bar(last: Path) -> None:
    seen = on_a_terminal(AS_IT_IS, "slim", "last.pt")
    assert seen.code == 0
    assert seen.terminal.startswith("last.pt -> last.slim.pt  [basic]")
    assert "\x1b" not in seen.terminal


def test_bars_begin_at_64_megabytes() -> None:
    assert printing.BAR_FROM == 64_000_000


@pytest.mark.parametrize("flag", ["-q", "--json"])
def test_who_asks_for_quiet_or_json_gets_no_bar(flag: str, last: Path) -> None:
    seen = on_a_terminal(SMALL_ENOUGH, "slim", flag, "last.pt", redirected="report.txt")
    assert (seen.code, seen.terminal) == (0, "")


def test_a_redirected_stderr_gets_no_bar(last: Path) -> None:
    command = [sys.executable, "-c", SMALL_ENOUGH, "slim", "last.pt"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment({"FORCE_COLOR": "1"}), check=True)
    assert done.stderr == ""
    assert BAR not in done.stdout


def test_an_error_ends_the_bar_and_is_one_line(last: Path) -> None:
    Path("last.slim.pt").write_bytes(b"mine")
    seen = on_a_terminal(SMALL_ENOUGH, "slim", "last.pt", redirected="report.txt")
    assert seen.code == 2
    line = "ptzip: error: last.pt: last.slim.pt already exists (use -f to overwrite)\r\n"
    assert seen.terminal.endswith(line)


@pytest.mark.parametrize("name", ["[red]last.pt", "last[link=x].pt", "{task.id}.pt", "最後.pt", "a\x1b[2Jb.pt", "a\nb.pt"])
def test_a_name_is_shown_in_the_bar_as_it_is(name: str) -> None:
    save(Path(name))
    seen = on_a_terminal(SMALL_ENOUGH, "slim", name, redirected="report.txt")
    assert seen.code == 0
    assert name.replace("\x1b", "\\x1b").replace("\n", "\\n") in seen.terminal
    assert "\x1b[2J" not in seen.terminal


def test_one_bar_is_for_all_files_with_the_name_of_each(last: Path) -> None:
    save(Path("next.pt"))
    seen = on_a_terminal(SMALL_ENOUGH, "verify", "last.pt", "next.pt", redirected="report.txt")
    assert seen.code == 0
    assert "last.pt (1 of 2)" in seen.terminal
    assert "next.pt (2 of 2)" in seen.terminal
    assert len(seen.out.splitlines()) == 4
