"""A file that another program writes to while a command reads it: an error, and no output."""

import os
import zipfile
from pathlib import Path
from types import FunctionType

import pytest

from ptzip.io.sources import DescriptorSource
from tests.cli.shell import names, ptzip
from tests.small_checkpoints import save

COMMANDS = {
    "a summary": "inspect last.pt",
    "an object": "inspect last.pt::model",
    "tensors": "inspect --tensors last.pt",
    "a tree": "inspect --tree last.pt",
    "sizes": "inspect --tree --sizes last.pt",
    "records": "inspect --records last.pt",
    "opcodes": "inspect --opcodes --stack last.pt",
    "a map": "inspect --map last.pt",
    "bytes": "inspect --hex 0:100 last.pt",
    "a byte": "inspect --at 100 last.pt",
    "an extract": "inspect --extract data/0 -o out.bin last.pt",
    "a plan": "slim -n last.pt",
    "slim": "slim last.pt -o out.pt",
    "convert": "convert last.pt -o out.safetensors",
    "scan": "scan last.pt",
    "verify": "verify last.pt",
    "diff": "diff last.pt other.pt",
    "average": "average last.pt other.pt -o out.pt",
    "average, the second": "average other.pt last.pt -o out.pt",
}


def write_at_read(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Let another program write to a file before something reads it for the `number`th time."""
    reads = 0

    def changed_by(read: FunctionType) -> object:
        def reading(source: DescriptorSource, *where: object) -> object:
            nonlocal reads
            reads += source.name == name
            if source.name == name and reads == number:
                os.truncate(name, 3000)
                os.truncate(name, 4000)
            return read(source, *where)

        return reading

    for one in ("read", "read_into"):
        monkeypatch.setattr(DescriptorSource, one, changed_by(getattr(DescriptorSource, one)))


@pytest.mark.parametrize("number", [1, 3, 6, 12])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_file_that_changes_while_it_is_read_is_an_error(
    command: str, number: int, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Path("other.pt"))
    write_at_read(monkeypatch, str(last), number)
    run = ptzip(*command.split())
    assert run.code == 2
    assert "the file changed while it was read" in run.err + run.out
    assert names() == ["last.pt", "other.pt"]


def test_a_collection_that_changes_while_a_deflated_checkpoint_of_it_is_read_is_an_error(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile("all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(last, "a.pt")
        archive.write(last, "b.pt")
    reads, old = 0, DescriptorSource.read

    def reading(source: DescriptorSource, offset: int, length: int) -> bytes:
        nonlocal reads
        data = old(source, offset, length)
        reads += 1
        os.utime("all.zip", ns=(reads, reads))
        return data

    monkeypatch.setattr(DescriptorSource, "read", reading)
    for command in ("inspect --tree all.zip::a.pt", "slim all.zip::a.pt -o out.pt", "verify all.zip::a.pt"):
        run = ptzip(*command.split())
        assert run.code == 2
        assert "the file changed while it was read" in run.err
    assert names() == ["all.zip", "last.pt"]


@pytest.mark.posix("modes of files")
def test_what_is_taken_out_of_a_file_never_replaces_it_and_is_no_more_public(last: Path) -> None:
    before = last.read_bytes()
    last.chmod(0o600)
    Path("link.pt").symlink_to(last)
    Path("hard.pt").hardlink_to(last)
    for name in ("last.pt", "link.pt", "hard.pt"):
        run = ptzip("inspect", "--extract", "0:100", "-f", "-o", name, last)
        assert run.code == 2
        assert "is the input itself" in run.err
    assert last.read_bytes() == before
    assert ptzip("inspect", "--extract", "0:100", "-o", "out.bin", last).code == 0
    assert Path("out.bin").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in the file system")
@pytest.mark.parametrize("flags", [("inspect",), ("slim", "-n"), ("diff", "other.pt")], ids=lambda flags: flags[0])
def test_a_page_is_not_written_to_a_pipe(flags: tuple[str, ...], last: Path) -> None:
    pytest.importorskip("plotly")
    save(Path("other.pt"))
    os.mkfifo("page.html")
    run = ptzip(*flags, last, "--html", "page.html")
    assert run.code == 2
    assert "not an HTML page" in run.err
    assert Path("page.html").is_fifo()
