"""What `scan` does not fetch of a large file at a URL is never called clean."""

import zipfile
from pathlib import Path

import pytest

import ptzip as library
from ptzip.scanning.report import Verdict
from ptzip.zip.structs import LOCAL_SIZE
from tests.cli.shell import ptzip
from tests.remote.checkpoints import training
from tests.remote.servers import Web

pytestmark = pytest.mark.remote

HARM = b"cposix\nsystem\n(S'true'\ntR."


def with_harm(path: Path, where: str) -> Path:
    """A checkpoint with harm in its first storage, or another name in the header before that."""
    data = bytearray(training(path).read_bytes())
    with zipfile.ZipFile(path) as archive:
        header = next(entry.header_offset for entry in archive.infolist() if entry.filename.endswith("/data/0"))
    name, extra = (int.from_bytes(data[header + at : header + at + 2], "little") for at in (26, 28))
    at = header + LOCAL_SIZE + (name + extra if where == "storage" else 0)
    bad = HARM if where == "storage" else b"X" * name
    data[at : at + len(bad)] = bad
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("where", "on_disk"), [("storage", Verdict.MALICIOUS), ("header", Verdict.REVIEW)])
def test_harm_in_what_is_not_fetched_is_never_clean(where: str, on_disk: Verdict, web: Web) -> None:
    path = with_harm(web.files / f"harm-{where}.pt", where)
    url = f"{web.url}/{path.name}"
    assert library.scan(path).verdict is on_disk
    assert library.scan(url).verdict is Verdict.REVIEW
    assert library.scan(url, whole=True)._replace(path=str(path)) == library.scan(path)


def test_a_clean_file_is_clean_once_everything_was_fetched(web: Web) -> None:
    path = training(web.files / "clean.pt")
    part, whole = ptzip("scan", f"{web.url}/{path.name}"), ptzip("scan", "--whole", f"{web.url}/{path.name}")
    assert (part.code, whole.code) == (1, 0)
    assert "PTZ320 review: 36 storages were not fetched" in part.out
    assert ptzip("scan", "--fail-on", "malicious", f"{web.url}/{path.name}").code == 0
