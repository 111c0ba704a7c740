"""What a command says of a file is about one version of it: the file is opened once, and another in its place is not seen."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from ptzip.io import sources
from ptzip.io.open_source import open_source
from tests.cli.shell import names, ptzip
from tests.files_of_checkpoints import several_files, tarred, zipped
from tests.small_checkpoints import save

COMMANDS = {
    "a summary": "inspect IN",
    "JSON": "inspect --json IN",
    "an object": "inspect IN::model",
    "values": "inspect IN::model.model.0.weight --values",
    "opcodes of an object": "inspect --opcodes IN::model",
    "tensors": "inspect --tensors IN",
    "sizes": "inspect --tree --sizes IN",
    "records": "inspect --records IN",
    "a map": "inspect --map --fields IN",
    "bytes": "inspect --hex 0:100 IN",
    "a byte": "inspect --at 100 IN",
    "a record": "inspect --extract data/0 -o out.bin IN",
    "a tensor": "inspect --extract model.model.0.weight -o out.npy IN",
    "a plan": "slim -n IN",
    "slim": "slim IN -o out.pt",
    "slim in place": "slim -i IN",
    "slim with a check": "slim --check --json IN -o out.pt",
    "convert": "convert --sidecar IN -o out.safetensors",
    "scan": "scan IN",
    "verify": "verify --values IN",
    "repair": "repair IN -o out.pt",
    "diff": "diff IN other.pt",
    "average": "average IN other.pt -o out.pt",
}

FILES: dict[str, Callable[[bytes], bytes]] = {
    "in.pt": bytes,
    "in.pt.zst": zstandard.compress,
    "all.tar": lambda data: tarred({"model": data, "b.txt": b"b"}),
    "all.zip": lambda data: zipped({"model": data, "b.pt": data}, zipfile.ZIP_DEFLATED),
}


def count_opens(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """A list that grows with each time that a file is opened."""
    found, old = list[str](), os.open

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        found.extend([path] if path == name else ())
        return old(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_file_is_opened_once(command: str, name: str, last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(name).write_bytes(FILES[name](last.read_bytes()))
    save(Path("other.pt"))
    opens = count_opens(monkeypatch, name)
    ptzip(*command.replace("IN", name).split())
    assert opens == [name]


def test_a_malicious_file_that_does_not_open_is_opened_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cut.pkl").write_bytes(b"\x80\x02cos\nsystem\nU\x04echo\x85R")
    opens = count_opens(monkeypatch, "cut.pkl")
    run = ptzip("slim", "cut.pkl", "-o", "out.pt")
    assert run.code == 2
    assert "this file is malicious" in run.err
    assert opens == ["cut.pkl"]


@pytest.mark.html
@pytest.mark.parametrize("name", FILES)
def test_a_page_opens_its_file_once(name: str, last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(name).write_bytes(FILES[name](last.read_bytes()))
    opens = count_opens(monkeypatch, name)
    assert ptzip("inspect", name, "--stats", "--html", "out.html").code == 0
    assert opens == [name]


@pytest.mark.html
def test_a_checkpoint_in_a_zip_of_files_has_a_page(folder: Path) -> None:
    Path("all.zip").write_bytes(zipped(several_files()))
    run = ptzip("inspect", "all.zip::a/last.pt", "--html", "out.html")
    assert run.code == 0, run.err
    assert "all.zip::a/last.pt" in Path("out.html").read_text()


@pytest.mark.posix("a file can be replaced while it is open")
@pytest.mark.html
def test_no_page_is_written_of_a_file_that_was_replaced(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(Path("new.pt"))

    def replacing(*arguments: object) -> sources.Source:
        if Path("new.pt").exists():
            Path("new.pt").replace(last)
        return opening(*arguments)  # type: ignore[arg-type]

    opening = open_source
    monkeypatch.setattr("ptzip.api.open_source", replacing)
    run = ptzip("inspect", last, "--html", "out.html")
    assert run.code == 2
    assert "another program replaced it" in run.err
    assert names() == ["last.pt"]


def test_what_is_opened_again_is_closed_on_its_own(last: Path) -> None:
    with last.open("rb") as file:
        for first in (open_source(last), open_source(last.read_bytes()), open_source(file)):
            second = open_source(first)
            first.close()
            assert second.read(0, 4) == b"PK\3\4"
            second.close()
