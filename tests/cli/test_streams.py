"""`-` is stdin and stdout: the same bytes and reports as with files, and text never among the bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import environment, names, one_line, ptzip, reports, shell


def piped(data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run ptzip with stdin from a pipe."""
    command = [sys.executable, "-m", "ptzip", *words]
    return subprocess.run(command, input=data, capture_output=True, env=environment(), check=False)


@pytest.mark.parametrize("flags", [(), ("--dtype", "keep")])
def test_slim_from_stdin_to_stdout_gives_the_bytes_of_the_file(flags: tuple[str, ...], last: Path) -> None:
    assert ptzip("slim", last, "-o", "small.pt", *flags).code == 0
    done = piped(last.read_bytes(), "slim", "-", "-o", "-", *flags)
    assert done.returncode == 0
    assert done.stdout == Path("small.pt").read_bytes()
    assert done.stderr.startswith(b"- -> -  [basic]\n")
    again = piped(done.stdout, "slim", "-", "-o", "-", *flags)
    assert (again.stdout, again.stderr.endswith(b"copied\n")) == (done.stdout, True)


@pytest.mark.parametrize("command", ["inspect", "scan", "verify"])
def test_what_reads_takes_a_pipe_or_a_file_as_stdin(command: str, last: Path) -> None:
    expected = json.loads(ptzip(command, last, "--json").out)["files"][0]
    with last.open("rb") as file:
        line = [sys.executable, "-m", "ptzip", command, "-", "--json"]
        redirected = subprocess.run(line, stdin=file, capture_output=True, env=environment(), check=False).stdout
    for printed in (piped(last.read_bytes(), command, "-", "--json").stdout, redirected):
        assert reports(printed.decode()) == [expected | {"path": "-"}]


@pytest.mark.parametrize("form", ["safetensors", "npz", "pt"])
def test_convert_writes_the_format_that_is_named_to_stdout(form: str, last: Path) -> None:
    assert ptzip("convert", last, "-o", f"x.{form}").code == 0
    assert piped(last.read_bytes(), "convert", "-", "-o", "-", "--format", form).stdout == Path(f"x.{form}").read_bytes()


def test_stdin_needs_an_output_and_stdout_takes_one_file(last: Path) -> None:
    assert piped(last.read_bytes(), "slim", "-").stderr.startswith(b"ptzip: error: -: stdin needs an output")
    assert one_line(ptzip("slim", last, last, "-o", "-"), "ptzip: error: ") == "stdout takes one file, but 2 are named"


def test_a_file_that_is_refused_puts_nothing_on_stdout(last: Path) -> None:
    done = piped(b"noise" * 99, "slim", "-", "-o", "-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert names() == ["last.pt"]


def test_a_file_may_be_called_so(last: Path) -> None:
    last.rename("-")
    assert shell("verify", "./-").code == 0
