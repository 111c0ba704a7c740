"""`ptzip` itself: help, version, exit codes, and what happens when its output cannot go where it should."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import ptzip as package
from ptzip.cli import main as program
from ptzip.io import system
from ptzip.recipes import NAMES
from tests.cli.shell import environment, in_terminal, names, ptzip, shell
from tests.corpus import FIXTURES

SLIM_FLAGS = (
    *("-o", "--output", "-i", "--html", "--in-place", "-f", "--force", "-n", "--dry-run", "--recipe", "--dtype", "--location"),
    *("--no-scan", "-q", "--quiet", "--json", "-h", "--help", "--list-recipes", "--drop", "--keep", "--set", "--keep-float32"),
    *("--ema", "--no-ema", "--trim", "--no-trim", "--on-overflow", "--dedupe", "--plain", "--format", "--check", "--no-sync"),
    *("--limit", "-j", "--jobs", "--color", "--html", "--exit-code", "--portable", "--rename-class", "--masters"),
    *("--files-from", "--shard", "--scheduler", "--jsonl", "--resume", "--timeout", "--memory"),
)


def test_help_names_every_command_and_the_exit_codes() -> None:
    result = ptzip("--help")
    assert result.code == 0
    assert result.err == ""
    for command in program.COMMANDS:
        assert re.search(rf"^    {command.name} +{command.summary}$", result.out, re.MULTILINE)
    assert "Exit codes: 0 done or clean, 1 findings, 2 failed, 3 malicious." in " ".join(result.out.split())


def test_help_of_slim_names_every_flag() -> None:
    result = ptzip("slim", "--help")
    assert result.code == 0
    flags = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", result.out))
    assert flags == set(SLIM_FLAGS)


@pytest.mark.parametrize("recipe", NAMES[1:])
def test_the_list_of_recipes_names_the_recipe(recipe: str) -> None:
    code, out, err = ptzip("slim", "--list-recipes")
    assert (code, err) == (0, "")
    assert re.search(rf"^{recipe} +\S", out, re.MULTILINE)


@pytest.mark.parametrize("default", ["NAME.slim.pt", "detected from the layout"])
def test_help_of_slim_says_what_happens_by_default(default: str) -> None:
    assert default in " ".join(ptzip("slim", "--help").out.split())


@pytest.mark.parametrize("words", [("--help",), ("slim", "--help")])
def test_help_fits_a_terminal_of_80_columns(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, ptzip(*words).out.splitlines())) <= 80


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version_is_that_of_the_package(flag: str) -> None:
    assert ptzip(flag) == (0, f"ptzip {package.__version__}\n", "")


def test_without_arguments_the_help_is_shown() -> None:
    assert ptzip() == ptzip("help") == ptzip("--help")
    assert ptzip("help", "slim") == ptzip("slim", "--help")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("slim",), "the following arguments are required: PATH"),
        (("fatten", "last.pt"), "there is no command 'fatten': expected one of slim, inspect, scan"),
        (("slam", "last.pt"), "there is no command 'slam' (did you mean slim?)"),
        (("last.pt",), "there is no command 'last.pt' (did you mean ptzip inspect last.pt, or ptzip slim last.pt?)"),
        (("info", "last.pt"), "there is no command 'info' (did you mean inspect?)"),
        (("--json", "inspect", "last.pt"), "flags follow the command: ptzip inspect --json"),
        (("slim", "last.pt", "--dtype", "fp16"), "(did you mean float16?)"),
        (("slim", "last.pt", "--fast"), "unrecognized arguments: --fast"),
        (("slim", "last.pt", "--dtype", "int8"), "invalid choice: 'int8'"),
        (("slim", "last.pt", "--location", "cuda"), "invalid choice: 'cuda'"),
        (("slim", "last.pt", "-i", "-o", "x.pt"), "not allowed with argument"),
        (("slim", "last.pt", "-o"), "expected one argument"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong_and_exits_with_2(words: tuple[str, ...], cause: str, last: Path) -> None:
    result = ptzip(*words)
    assert result.code == 2
    assert result.out == ""
    error, advice = result.err.splitlines()
    assert error.startswith("ptzip: error: ")
    assert cause in error
    assert ptzip(*advice.removeprefix("see `ptzip ").removesuffix("`").split()).code == 0
    assert names() == ["last.pt"]


def test_an_interrupt_exits_with_130_and_leaves_nothing(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(system, "write_some", interrupted)
    assert ptzip("slim", last) == (130, "", "")
    assert names() == ["last.pt"]


SLOW = """
import signal, sys, time
from ptzip.__main__ import run
from ptzip.io import system
write = system.write_some
system.write_some = lambda *arguments: (time.sleep(0.3), write(*arguments))[1]
signal.signal(signal.SIGINT, signal.default_int_handler)
run()
"""
"""ptzip on a slow disk, in a process that listens to Ctrl-C even where its parent does not."""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_writing_leaves_all_as_it_was(sent: signal.Signals, code: int, last: Path) -> None:
    before = last.read_bytes()
    command = [sys.executable, "-c", SLOW, "slim", "-i", "last.pt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()) as running:
        while running.poll() is None and names() == ["last.pt"]:
            time.sleep(0.001)
        time.sleep(0.05)  # Python's own thread pool is not safe to interrupt while it starts
        running.send_signal(sent)
        printed, _ = running.communicate()
    assert (running.returncode, printed) == (code, b"ptzip: interrupted, nothing written\n" if code == 130 else b"")
    assert (names(), last.read_bytes()) == (["last.pt"], before)


def test_a_reader_that_leaves_early_is_no_error(last: Path) -> None:
    command = f"{sys.executable} -m ptzip slim -i {last} {last} {last} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["last.pt -> last.pt  [basic]", "0"]


def test_a_reader_that_leaves_early_does_not_stop_the_work(last: Path) -> None:
    inputs = [Path(f"{number}.pt") for number in range(60)]
    for path in inputs:
        path.write_bytes(last.read_bytes())
    command = f"{sys.executable} -m ptzip slim -i {' '.join(map(str, inputs))} missing.pt | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.stderr == "ptzip: error: missing.pt: no such file or directory\n"
    assert done.returncode == 2
    assert len({path.read_bytes() for path in inputs}) == 1
    assert inputs[0].read_bytes() != last.read_bytes()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_not_matter(closed: str, last: Path) -> None:
    command = f"{sys.executable} -m ptzip slim last.pt missing.pt {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert Path("last.slim.pt").exists()
    assert "Traceback" not in done.stderr
    assert "error" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["slim last.pt", "slim -q -o - last.pt"])
def test_a_full_disk_under_stdout_is_one_error_line(words: str, last: Path) -> None:
    command = f"{sys.executable} -m ptzip {words} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr == "ptzip: error: the output could not be written: no space left on device: stdout\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["inspect --tree last.pt", "inspect --extract data.pkl -o - last.pt", "convert -o - last.pt"])
def test_an_error_about_stdout_does_not_blame_the_input(words: str, last: Path) -> None:
    command = f"{sys.executable} -m ptzip {words} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "ptzip: error: last.pt: no space left on device: stdout"


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("slim", "--help")])
def test_python_m_ptzip_is_the_same_program(words: tuple[str, ...]) -> None:
    assert shell(*words, COLUMNS="80").out == shell_script(*words)


def shell_script(*words: str) -> str:
    """What the console script prints, in 80 columns."""
    code = "import sys; from ptzip.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment({"COLUMNS": "80"}), check=True)
    return done.stdout


def test_the_console_script_is_the_module() -> None:
    project = tomllib.loads((Path(package.__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"ptzip": "ptzip.__main__:run"}


def test_every_command_has_what_main_asks_of_it() -> None:
    for command in program.COMMANDS:
        module = importlib.import_module(f"ptzip.cli.{command.name}")
        assert {"DESCRIPTION", "configure", "run"} <= set(vars(module))


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "tcsh"])
def test_a_shell_gets_a_script_with_every_command_and_flag(shell_name: str) -> None:
    result = ptzip("completion", shell_name)
    assert (result.code, result.err) == (0, "")
    for command in program.COMMANDS:
        assert command.name in result.out
    assert "--on-overflow" in result.out


TYPED = {"ver": "verify", "slim --on-over": "--on-overflow", "slim --dtype bf": "bfloat16", "slim la": "last.pt"}


def test_bash_completes_commands_flags_choices_and_files(last: Path) -> None:
    Path("script").write_text(ptzip("completion", "bash").out)
    for typed, expected in (
        ("ver", "verify"),
        ("slim --on-over", "--on-overflow"),
        ("slim --dtype bf", "bfloat16"),
        ("slim la", "last.pt"),
    ):
        words = ["ptzip", *typed.split()]
        line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_ptzip; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", f"source ./script; {line}"], capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), (typed, done)


def test_colour_is_on_a_terminal_or_where_it_is_asked_for(last: Path) -> None:
    green = "\x1b[32mOK\x1b[0m: last.pt"
    assert ptzip("verify", last).out.startswith("OK: ")
    assert ptzip("verify", "last.pt", "--color", "always").out.startswith(green)
    assert in_terminal(80, "verify", "last.pt").out.startswith(green)
    assert in_terminal(80, "verify", "last.pt", NO_COLOR="1").out.startswith("OK: ")
    assert in_terminal(80, "verify", "last.pt", "--color", "never").out.startswith("OK: ")


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("words", [("inspect",), ("scan", "-v"), ("verify",), ("slim", "-n")])
def test_lines_are_folded_between_words_on_a_narrow_terminal(words: tuple[str, ...], columns: int) -> None:
    shutil.copy(FIXTURES / "training.pt", "last.pt")
    lines = in_terminal(columns, *words, "last.pt", NO_COLOR="1").out.splitlines()
    assert all(len(line) <= columns or " " not in line.strip() for line in lines), [
        line for line in lines if len(line) > columns
    ]
    whole = ptzip(*words, "last.pt").out.split()
    assert "".join(" ".join(lines).split()) == "".join(whole)


def test_a_table_of_tensors_has_a_line_for_each_on_a_terminal_and_whole_names_elsewhere() -> None:
    shutil.copy(FIXTURES / "training.pt", "last.pt")
    whole = ptzip("inspect", "--tensors", "last.pt").out.splitlines()
    narrow = in_terminal(76, "inspect", "--tensors", "last.pt", NO_COLOR="1").out.splitlines()
    assert len(narrow) == len(whole)
    assert max(map(len, narrow)) <= 76 < max(map(len, whole))
    assert "optimizer.state.#.momentum_buffer" in "\n".join(whole)


def test_an_interrupt_says_that_nothing_was_written(last: Path) -> None:
    command = [sys.executable, "-m", "ptzip", "slim", "-", "-o", "new.pt"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running:
        assert running.stdin is not None
        running.stdin.write(b"x" * (1 << 20))  # more than a pipe holds: ptzip reads now
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert (running.returncode, said, names()) == (130, b"ptzip: interrupted, nothing written\n", ["last.pt"])


WORDS = (
    "--help",
    "-V",
    "slim --help",
    "slim --list-recipes",
    "help topics",
    "inspect last.pt",
    "scan last.pt",
    "slim -n last.pt",
)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize("words", WORDS)
def test_what_cannot_be_printed_is_an_error(words: str, last: Path) -> None:
    command = [sys.executable, "-m", "ptzip", *words.split()]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="there is no shell that closes stdout")
@pytest.mark.parametrize("words", ["slim -o - last.pt", "inspect --extract data.pkl -o - last.pt"])
def test_bytes_for_a_stdout_that_is_closed_are_an_error(words: str, last: Path) -> None:
    command = f"exec {sys.executable} -m ptzip {words} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr.count("stdout is closed") == len(done.stderr.splitlines()) == 1
