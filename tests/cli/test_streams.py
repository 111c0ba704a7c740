"""`-` is stdin and stdout: the same bytes and reports as with files, and text never among the bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import environment, names, one_line, ptzip, reports, shell
from tests.files_of_checkpoints import tarred
from tests.small_checkpoints import save, training_records


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


def test_every_command_reads_stdin(last: Path) -> None:
    data = last.read_bytes()
    assert piped(data, "diff", "-", "last.pt").returncode == piped(data, "diff", "last.pt", "-").returncode == 0
    assert piped(data, "repair", "-", "-o", "whole.pt").returncode == 0
    record = piped(data, "inspect", "-", "--extract", "data.pkl", "-o", "-").stdout
    assert ptzip("inspect", last, "--extract", "data.pkl", "-o", "data.pkl").code == 0
    assert record == Path("data.pkl").read_bytes()


def test_an_object_of_stdin_is_named_behind_the_dash(last: Path) -> None:
    assert piped(last.read_bytes(), "inspect", "-::epoch").stdout.decode().startswith("-::epoch:\n")


def test_repair_and_scan_write_to_stdout(last: Path) -> None:
    cut = last.read_bytes()[:-100]
    Path("cut.pt").write_bytes(cut)
    code = ptzip("repair", "cut.pt", "-o", "whole.pt").code
    done = piped(cut, "repair", "-", "-o", "-")
    assert (done.returncode, done.stdout) == (code, Path("whole.pt").read_bytes())
    assert ptzip("scan", last, "-o", "-").out == ptzip("scan", last).out
    assert names() == ["cut.pt", "last.pt", "whole.pt"]


def test_stdin_is_slimmed_among_several_files(last: Path) -> None:
    assert piped(last.read_bytes(), "slim", "last.pt", "-", "-n", "-j", "2").returncode == 0
    refused = piped(last.read_bytes(), "slim", "-", "-o", "small/").stderr
    assert refused.startswith(b"ptzip: error: -: stdin has no name for a file in small: name the output itself")


@pytest.mark.parametrize("line", ["slim last.pt -o - >&-", "inspect last.pt --extract 0:9 -o - >&-", "verify - <&-"])
@pytest.mark.skipif(os.name == "nt", reason="closing a stream is a feature of POSIX shells")
def test_a_closed_stream_is_an_error_of_one_line(line: str, last: Path) -> None:
    words = f"exec '{sys.executable}' -m ptzip {line}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, env=environment(), check=False)
    assert (done.returncode, done.stderr.count(b"\n"), b"closed" in done.stderr) == (2, 1, True)


@pytest.mark.parametrize("flag", [("--max-shard-size", "1kB"), ("--sidecar",)])
def test_convert_refuses_more_than_one_file_on_stdout(flag: tuple[str, ...], last: Path) -> None:
    done = piped(last.read_bytes(), "convert", "-", "-o", "-", *flag)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"stdout takes one file" in done.stderr


def test_the_format_of_a_named_output_is_that_of_its_suffix(last: Path) -> None:
    refused = one_line(ptzip("convert", last, "-o", "x.npz", "--format", "pt"), "ptzip: error: ")
    assert refused == "last.pt: --format is about -o -: the suffix of any other output determines the format"


@pytest.mark.parametrize("levels", [101, 9000])
def test_a_value_of_many_levels_is_refused(levels: int, last: Path) -> None:
    refused = ptzip("slim", last, "-n", "--set", f"epoch={'[' * levels}{']' * levels}")
    assert (refused.code, "levels" in one_line(refused, "ptzip: error: ")) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="head is a command of POSIX")
def test_a_reader_of_stdout_may_leave_early(folder: Path) -> None:
    save(Path("large.pt"), training_records(1 << 20))
    line = f"('{sys.executable}' -m ptzip slim large.pt -q -o -; echo $? >&2) | head -c 9 >head"
    done = subprocess.run(["sh", "-c", line], capture_output=True, env=environment(), check=False)
    assert done.stderr == b"0\n"


def test_a_checkpoint_in_a_tar_on_stdin_is_named_behind_the_dash(last: Path) -> None:
    files = tarred({"a/last.pt": last.read_bytes(), "b.pt": last.read_bytes()})
    assert ptzip("slim", last, "-o", "small.pt").code == 0
    assert piped(files, "slim", "-::a/last.pt", "-o", "-").stdout == Path("small.pt").read_bytes()
    assert piped(files, "slim", "-::a/last.pt", "-o", "small/").returncode == 0
    assert Path("small/last.pt").read_bytes() == Path("small.pt").read_bytes()
    assert piped(files, "inspect", "-::a/last.pt::epoch").stdout.startswith(b"-::a/last.pt::epoch:\n")
    for command in ("scan", "verify"):
        expected = reports(ptzip(command, last, "--json").out)[0]
        assert reports(piped(files, command, "-::b.pt", "--json").stdout.decode()) == [expected | {"path": "-::b.pt"}]


@pytest.mark.parametrize(
    "command", ["inspect", "inspect --map", "scan", "verify", "slim -n", "convert -o x.npz", "repair -o x.pt"]
)
def test_a_name_that_is_not_in_a_tar_is_an_error_that_names_the_similar_or_all(command: str, last: Path) -> None:
    Path("two.tar").write_bytes(tarred({"a/last.pt": last.read_bytes(), "b.pt": last.read_bytes()}))
    verb, *flags = command.split()
    for name, hint in (("a/last", " (did you mean a/last.pt?)"), ("none", ", expected one of a/last.pt, b.pt")):
        code, out, err = ptzip(verb, f"two.tar::{name}", *flags)
        assert (code, f"there is no checkpoint {name} in this tar{hint}" in out + err) == (2, True)


@pytest.mark.parametrize("command", ["scan", "verify", "repair -o x.pt"])
def test_a_checkpoint_in_a_tar_is_a_file_for_every_command(command: str, last: Path) -> None:
    Path("two.tar").write_bytes(tarred({"a/last.pt": last.read_bytes(), "b.pt": last.read_bytes()}))
    verb, *flags = command.split()
    assert ptzip(verb, "two.tar::b.pt", *flags).out == ptzip(verb, last, *flags).out.replace("last.pt", "two.tar::b.pt")


@pytest.mark.parametrize("command", ["slim", "convert", "repair", "scan", "inspect --extract 0:9"])
def test_the_folder_of_an_output_is_made(command: str, last: Path) -> None:
    Path("cut.pt").write_bytes(last.read_bytes()[:-100])
    verb, *flags = command.split()
    assert ptzip(verb, "cut.pt" if verb == "repair" else last, *flags, "-o", "new/one/out.pt").code < 2
    assert Path("new/one/out.pt").exists()


@pytest.mark.parametrize("command", ["slim", "convert", "repair"])
def test_the_folder_of_an_output_is_not_made_for_nothing(command: str, last: Path) -> None:
    Path("noise.pt").write_bytes(b"noise" * 99)
    assert ptzip(command, "noise.pt", "-o", "new/one/out.pt").code == 2
    assert names() == ["last.pt", "noise.pt"]
