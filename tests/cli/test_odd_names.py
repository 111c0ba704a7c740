"""File names and places that nobody plans for: `ptzip slim` writes where it should or says in one line why it cannot.

Whatever a name holds, one fault is one line on stderr, and nothing that is printed can steer a terminal.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import environment, names, one_line, ptzip, shell
from tests.small_checkpoints import Saving, save, training_records

NAMES = (
    pytest.param("last.pth", "last.slim.pth", id="another suffix"),
    pytest.param("last", "last.slim.pt", id="no suffix"),
    pytest.param("last.pt.tar", "last.pt.slim.tar", id="two suffixes"),
    pytest.param(".hidden", ".hidden.slim.pt", id="hidden"),
    pytest.param("my last run.pt", "my last run.slim.pt", id="spaces"),
    pytest.param("größe-最後.pt", "größe-最後.slim.pt", id="unicode"),
    pytest.param("./-last.pt", "-last.slim.pt", id="a dash first"),
    pytest.param("a*b?[c].pt", "a*b?[c].slim.pt", id="wildcards"),
    pytest.param("{0}%s.pt", "{0}%s.slim.pt", id="placeholders"),
    pytest.param("x" * 247 + ".pt", "x" * 247 + ".slim.pt", id="the longest name that fits"),
    pytest.param("最" * 81 + ".pt", "最" * 81 + ".slim.pt", id="the longest name in three bytes a letter"),
)


@pytest.mark.parametrize(("name", "output"), NAMES)
def test_the_default_output_is_named_after_the_input(name: str, output: str) -> None:
    save(Path(name))
    result = ptzip("slim", name)
    assert (result.code, result.err) == (0, "")
    assert names() == sorted([Path(name).name, output])
    assert output in result.out.splitlines()[0]


def test_double_dash_ends_the_flags() -> None:
    save(Path("-last.pt"))
    assert ptzip("slim", "--", "-last.pt").code == 0
    assert names() == ["-last.pt", "-last.slim.pt"]


@pytest.mark.parametrize("name", ["x" * 255, "最" * 85, "x" * 252 + ".pt"])
def test_a_name_as_long_as_the_system_allows_is_slimmed_in_place(name: str) -> None:
    before = save(Path(name)).stat().st_size
    assert ptzip("slim", "-i", name).code == 0
    assert names() == [name]
    assert Path(name).stat().st_size < before


def test_an_output_name_longer_than_the_system_allows_is_refused(last: Path) -> None:
    long = "x" * 252 + ".pt"
    last.rename(long)
    cause = one_line(ptzip("slim", long), f"ptzip: error: {long}: ")
    assert cause == f"file name too long: {'x' * 252}.slim.pt"
    assert names() == [long]


@pytest.mark.parametrize("output", ["y" * 256, "y" * 5000, "y/" * 3000 + "z.pt"])
def test_a_huge_output_path_is_refused(output: str, last: Path) -> None:
    cause = one_line(ptzip("slim", last, "-o", output), "ptzip: error: last.pt: ")
    assert cause == f"file name too long: {output}"
    assert names() == ["last.pt"]


ESCAPED = (
    pytest.param(b"a\nb.pt", r"a\nb.pt", id="newline"),
    pytest.param(b"a\xff.pt", r"a\xff.pt", id="no UTF-8"),
    pytest.param(b"\x1b[31mred.pt", r"\x1b[31mred.pt", id="terminal colour"),
    pytest.param("a\u202etp.exe".encode(), r"a\u202etp.exe", id="text that runs backwards"),
    pytest.param(b"a\rb.pt", r"a\rb.pt", id="carriage return"),
)


@pytest.mark.parametrize(("name", "shown"), ESCAPED)
def test_a_name_is_printed_escaped_and_used_as_it_is(name: bytes, shown: str) -> None:
    path = os.fsdecode(name)
    save(Path(path))
    result = ptzip("slim", path, "-o", f"out-{path}")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == f"{shown} -> out-{shown}  [basic]"
    assert names() == sorted([path, f"out-{path}"])


@pytest.mark.parametrize(("name", "shown"), ESCAPED)
def test_an_error_about_a_name_is_one_line(name: bytes, shown: str) -> None:
    cause = one_line(ptzip("slim", os.fsdecode(name)), f"ptzip: error: {shown}: ")
    assert cause == "no such file or directory"


@pytest.mark.parametrize(("name", "shown"), ESCAPED)
def test_an_error_about_an_output_is_one_line(name: bytes, shown: str, last: Path) -> None:
    Path(os.fsdecode(name)).write_bytes(b"mine")
    cause = one_line(ptzip("slim", last, "-o", os.fsdecode(name)), "ptzip: error: last.pt: ")
    assert cause == f"{shown} already exists (use -f to overwrite)"


@pytest.mark.parametrize("settings", [{}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_a_name_of_odd_bytes_is_no_trouble_on_any_terminal(settings: dict[str, str]) -> None:
    save(Path(os.fsdecode(b"\xff\n.pt")))
    result = shell("slim", b"\xff\n.pt", **settings)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == r"\xff\n.pt -> \xff\n.slim.pt  [basic]"


def test_a_name_that_ascii_cannot_spell_is_printed_where_the_terminal_is_ascii() -> None:
    save(Path("größe.pt"))
    result = shell("slim", "größe.pt", PYTHONIOENCODING="ascii")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == r"gr\xf6\xdfe.pt -> gr\xf6\xdfe.slim.pt  [basic]"


def test_text_out_of_the_file_cannot_break_the_line_or_steer_the_terminal() -> None:
    saving = Saving()
    save(Path("last.pt"), saving.records(saving.node({"a\nb": 1, "\x1b[2J": 2, "\ud800": 3})))
    cause = one_line(ptzip("slim", "last.pt"), "ptzip: error: last.pt: ")
    assert cause == r"the file holds no tensors: its top-level keys are a\nb, \x1b[2J, \ud800"


def test_the_plan_of_a_dry_run_is_escaped_too(last: Path) -> None:
    odd: dict[str, Any] = {"x\x1b[2Jy": 1}
    save(last, training_records(**odd))
    result = ptzip("slim", "-n", last, "--recipe", "basic")
    assert "\x1b" not in result.out
    assert r"x\x1b[2Jy" in result.out


# places


def test_a_missing_input_is_named_once() -> None:
    assert one_line(ptzip("slim", "./no/such.pt"), "ptzip: error: ./no/such.pt: ") == "no such file or directory"


def test_a_file_in_the_middle_of_the_output_path_is_refused(last: Path) -> None:
    cause = one_line(ptzip("slim", last, "-o", "last.pt/below/x.pt"), "ptzip: error: last.pt: ")
    assert cause == "not a directory: last.pt/below"


@pytest.mark.parametrize("name", ["folder", "folder/"])
@pytest.mark.parametrize("command", ["slim", "inspect", "verify"])
def test_a_folder_without_checkpoints_is_no_input(command: str, name: str) -> None:
    Path("folder").mkdir()
    Path("folder/notes.txt").write_text("none")
    cause = one_line(ptzip(command, name), "ptzip: error: ")
    assert cause == f"no file in {name} has the suffix of a checkpoint: name the files themselves"


@pytest.mark.parametrize("flags", [(), ("-i",), ("-o", "out.pt"), ("-n",)])
def test_a_pipe_is_refused_without_waiting_for_a_writer(flags: tuple[str, ...]) -> None:
    os.mkfifo("pipe.pt")
    cause = one_line(shell("slim", "pipe.pt", *flags), "ptzip: error: pipe.pt: ")
    assert cause == "this is a pipe, expected a regular file"
    assert names() == ["pipe.pt"]


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/dev/tty"])
def test_a_device_is_refused(name: str) -> None:
    assert one_line(ptzip("slim", name, "-n"), f"ptzip: error: {name}: ") == "this is a device, expected a regular file"


def test_a_pipe_is_not_replaced_by_an_output(last: Path) -> None:
    """A device would not be either; that is not tried, since a mistake would take it from the whole machine."""
    os.mkfifo("pipe.pt")
    one_line(shell("slim", last, "-o", "pipe.pt"), "ptzip: error: last.pt: ")
    cause = one_line(shell("slim", last, "-f", "-o", "pipe.pt"), "ptzip: error: last.pt: ")
    assert cause == "the output pipe.pt is a pipe, expected a regular file"
    assert stat.S_ISFIFO(Path("pipe.pt").stat().st_mode)


def test_links_in_a_circle_are_no_input_and_an_existing_output(last: Path) -> None:
    Path("loop.pt").symlink_to("loop.pt")
    assert one_line(ptzip("slim", "loop.pt"), "ptzip: error: loop.pt: ") == "too many levels of symbolic links"
    cause = one_line(ptzip("slim", last, "-o", "loop.pt"), "ptzip: error: last.pt: ")
    assert cause == "loop.pt already exists (use -f to overwrite)"
    assert Path("loop.pt").is_symlink()


def test_a_link_as_output_stays_one_and_what_it_points_to_is_replaced(last: Path) -> None:
    Path("real.pt").write_bytes(b"old")
    Path("link.pt").symlink_to("real.pt")
    assert ptzip("slim", last, "-f", "-o", "link.pt").code == 0
    assert Path("link.pt").is_symlink()
    assert Path("real.pt").stat().st_size > 3


@pytest.mark.parametrize("output", ["new/", "new/er/"])
def test_no_folder_is_made_for_an_input_that_fails(output: str) -> None:
    Path("empty.pt").write_bytes(b"")
    one_line(ptzip("slim", "empty.pt", "-o", output), "ptzip: error: empty.pt: ")
    assert names() == ["empty.pt"]


# what only somebody who is not root meets

AS_NOBODY = """
import contextlib, io, os, sys
from ptzip.cli.main import main
if os.getuid() == 0:
    with contextlib.redirect_stdout(io.StringIO()):
        main(["slim", "-n", "last.pt"])  # imports all modules, which nobody may not be allowed to read
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `ptzip WORDS…` without the rights of root."""
    command = [sys.executable, "-c", AS_NOBODY, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder that everybody can reach, with `last.pt` in it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.chdir(folder)
    save(Path("last.pt")).chmod(0o644)
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_an_unreadable_file_is_refused(open_folder: Path) -> None:
    Path("last.pt").chmod(0)
    done = as_nobody("slim", "last.pt")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "ptzip: error: last.pt: permission denied\n")


@pytest.mark.parametrize(
    ("words", "output"), [((), "last.slim.pt"), (("-i",), ""), (("-o", "x.pt"), "x.pt"), (("-o", "new/"), "new")]
)
def test_a_folder_that_cannot_be_written_is_refused(words: tuple[str, ...], output: str, open_folder: Path) -> None:
    open_folder.chmod(0o555)
    before = Path("last.pt").read_bytes()
    done = as_nobody("slim", "last.pt", *words)
    where = f": {output}" if output else ""
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ptzip: error: last.pt: permission denied{where}\n")
    assert names() == ["last.pt"]
    assert Path("last.pt").read_bytes() == before


def test_a_dry_run_needs_no_right_to_write(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    done = as_nobody("slim", "-n", "last.pt")
    assert (done.returncode, done.stderr) == (0, "")


def test_results_with_a_lone_surrogate_are_dropped_like_any_others() -> None:
    save(Path("last.pt"), training_records(training_results="epoch \ud800 ok"))
    assert ptzip("slim", "last.pt").code == 0
