"""Every command reads URLs, in parts, of one version, and shows no credentials."""

import contextlib
import os
import re
import traceback
from pathlib import Path

import pytest

import ptzip as library
from ptzip.errors import ChangedError
from ptzip.io.block_cache import BLOCK, MOST_GROWTH
from ptzip.io.remote import TAIL, expand_remote, open_remote
from ptzip.io.sources import unchanged
from tests.cli.shell import ptzip
from tests.corpus import FIXTURES
from tests.remote.checkpoints import training
from tests.remote.proxy import Fault, Proxy, Request
from tests.remote.servers import KEY, SECRET, Bucket, Web

pytestmark = pytest.mark.remote

HERE = "http://u:a-password@{web.url.removeprefix('http://')}/none.pt?token=a-token"
"""What a traceback quotes of this file."""


@pytest.fixture(scope="module")
def last(web: Web) -> Path:
    return training(web.files / "last.pt")


COMMANDS = (
    ("inspect", "{}", "--json"),
    ("inspect", "--tree", "{}"),
    ("inspect", "--records", "{}"),
    ("inspect", "--at", "64", "{}"),
    ("inspect", "{}::epoch"),
    ("scan", "--whole", "{}", "--json"),
    ("verify", "{}"),
    ("diff", "{}", "{}"),
    ("slim", "-n", "{}"),
    ("repair", "{}", "-o", "repaired.pt"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_says_of_a_url_what_it_says_of_the_file(
    words: tuple[str, ...], web: Web, last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"{web.url}/last.pt"
    local, remote = (ptzip(*(word.format(name) for word in words)) for name in (last, url))
    assert remote.code == local.code == 0
    assert without_safety(remote.out.replace(url, str(last))) == without_safety(local.out)


def without_safety(text: str) -> str:
    """The output of a command without the verdict in `inspect`, which leaves out parts of a large file at a URL."""
    return re.sub(r'^  safety .*$|"safety": \{.*?\}', "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir() if path.is_file()))
def test_a_small_file_is_judged_as_it_is_on_the_disk(name: str, web: Web) -> None:
    if not (web.files / name).exists():
        os.link(FIXTURES / name, web.files / name)
    local, remote = library.scan(FIXTURES / name), library.scan(f"{web.url}/{name}")
    assert remote._replace(path=local.path) == local


def test_slim_writes_the_same_bytes(web: Web, last: Path, tmp_path: Path) -> None:
    for source, name in ((f"{web.url}/last.pt", "remote.pt"), (str(last), "local.pt")):
        library.slim(source, tmp_path / name, check=True)
    assert (tmp_path / "remote.pt").read_bytes() == (tmp_path / "local.pt").read_bytes()


@pytest.mark.parametrize("command", ["scan", "inspect"])
def test_a_look_takes_few_requests(command: str, web: Web, last: Path) -> None:
    before = len(web.log())
    ptzip(command, f"{web.url}/last.pt")
    requests = web.log()[before:]
    assert len(requests) <= 5
    assert sum(request.size for request in requests) < last.stat().st_size / 20


def test_slim_fetches_what_it_keeps(web: Web, last: Path, tmp_path: Path) -> None:
    before = len(web.log())
    library.slim(f"{web.url}/last.pt", tmp_path / "slim.pt")
    kept = last.stat().st_size / 3
    assert sum(request.size for request in web.log()[before:]) < kept + MOST_GROWTH + TAIL + 4 * BLOCK


def test_a_server_without_ranges_sends_the_file_and_a_note_says_so(web: Web, last: Path) -> None:
    run = ptzip("scan", f"{web.url}/whole/last.pt")
    assert run.code == 0
    assert "ptzip: note: " in run.err
    assert "the server sends only whole files, so it is downloaded" in run.err


@pytest.mark.parametrize("where", ["moved", "untagged"])
def test_it_reads_after_a_redirect_and_without_tags(where: str, web: Web, last: Path) -> None:
    assert ptzip("verify", f"{web.url}/{where}/last.pt").code == 0


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("none.pt", "no such file or directory"),
        ("private/last.pt", "access denied: check the credentials for this URL"),
    ],
)
def test_what_is_not_served_is_an_error_that_says_so(where: str, words: str, web: Web) -> None:
    run = ptzip("verify", f"{web.url}/{where}")
    assert (run.code, run.err) == (2, f"ptzip: error: {web.url}/{where}: {words}\n")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "simplecache::http://u:a-password@h/last.pt",
            "this is a chain of URLs, which fsspec joins by `::`: name the file itself",
        ),
        ("dir://last.pt", "a URL alone does not say where a file of dir:// is: name it at its own URL"),
        ("dropbox://last.pt", 'what reads dropbox:// is not installed: DropboxFileSystem requires "dropboxdrivefs"'),
    ],
)
def test_a_url_that_names_no_file_is_an_error_that_says_so(url: str, words: str) -> None:
    run = ptzip("verify", url)
    assert run.code == 2
    assert words in run.err
    assert "a-password" not in run.err


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("round/last.pt", "the server redirects without end"),
        ("away/last.pt", "the server redirects to what is no URL of HTTP"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_an_error_at_once(where: str, words: str, web: Web) -> None:
    before = len(web.log())
    run = ptzip("verify", f"{web.url}/{where}")
    assert (run.code, run.err) == (2, f"ptzip: error: {web.url}/{where}: {words}\n")
    assert len(web.log()) - before <= 22


def test_a_server_that_is_not_there_is_an_error_of_one_line() -> None:
    run = ptzip("inspect", "http://127.0.0.1:9/last.pt")
    assert run.code == 2
    assert run.err.count("\n") == 1


SHOWING = (
    *(("inspect",), ("inspect", "--map"), ("inspect", "--tensors"), ("inspect", "--tree"), ("inspect", "--opcodes")),
    *(("inspect", "--hex", "0:16"), ("inspect", "--at", "64"), ("inspect", "--extract", "0:16", "-o", "new.bin")),
    *(("scan",), ("verify",), ("slim", "-n"), ("scan", "--format", "sarif")),
    *(("diff", str(FIXTURES / "training.pt")), ("repair", "-o", "new.pt"), ("convert", "-o", "new.npz")),
    ("average", "-o", "new.pt", str(FIXTURES / "training.pt")),
)


@pytest.mark.parametrize("command", SHOWING, ids=lambda words: "-".join(words[:2]).replace("/", "."))
@pytest.mark.parametrize("name", ["last.pt", "none.pt", "private/last.pt", "whole/last.pt"])
@pytest.mark.parametrize("form", ["--json", ""])
def test_credentials_are_never_shown(
    command: tuple[str, ...], name: str, form: str, web: Web, last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = secret_url(web, name)
    run = ptzip(*command, url, *[form] * bool(form and "sarif" not in command))
    assert run.out + run.err
    assert_nothing_secret(run.out + run.err)


@pytest.mark.html
@pytest.mark.parametrize("command", ["inspect", "slim", "scan", "diff"])
def test_credentials_are_not_in_pages(
    command: str, web: Web, last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"slim": ["-n"], "diff": [str(last)], "scan": ["--whole"]}.get(command, [])
    assert ptzip(command, secret_url(web, "last.pt"), *words, "--html", "page.html").code == 0
    assert_nothing_secret(Path("page.html").read_text())


def secret_url(web: Web, name: str) -> str:
    """A URL with everything in it that nobody may see."""
    return f"http://somebody:a-password@127.0.0.1:{web.port}/{name}?X-Amz-Signature=5igned&token=t0ken#fr4gment"


def assert_nothing_secret(text: str) -> None:
    for secret in ("somebody", "a-password", "5igned", "t0ken", "fr4gment"):
        assert secret not in text


def test_credentials_are_not_in_reports_and_errors_of_the_library(web: Web, last: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_remote(f"http://u:a-password@{web.url.removeprefix('http://')}/none.pt?token=a-token")
    shown = "".join(traceback.format_exception(caught.value))
    assert "a-password" not in shown.replace(HERE, "")
    assert "a-token" not in shown.replace(HERE, "")
    with library.open(f"{web.url}/last.pt?token=a-token") as checkpoint:
        assert "a-token" not in repr(checkpoint)


@pytest.mark.parametrize("where", ["", "untagged/"])
def test_a_file_that_is_replaced_while_it_is_read_is_an_error(where: str, web: Web, tmp_path: Path) -> None:
    path = training(web.files / "replaced.pt", seed=1)
    with library.open(f"{web.url}/{where}replaced.pt") as checkpoint:
        training(tmp_path / "new.pt", seed=2)
        os.utime(tmp_path / "new.pt", (1, 1))
        (tmp_path / "new.pt").replace(path)
        with pytest.raises(ChangedError, match="another program replaced it"):
            checkpoint["model.3"].numpy()


def test_a_file_that_is_removed_meanwhile_is_an_error(web: Web) -> None:
    path = training(web.files / "removed.pt")
    with library.open(f"{web.url}/removed.pt") as checkpoint:
        path.unlink()
        with pytest.raises(ChangedError, match="another program removed it"):
            checkpoint.source.check_unchanged()


@pytest.mark.parametrize("fault", [Fault(503), Fault(500), Fault(429), Fault(cut=1000), Fault(cut=0)], ids=str)
def test_what_fails_for_a_moment_is_asked_for_again(fault: Fault, web: Web, last: Path, tmp_path: Path) -> None:
    def every_third(request: Request) -> Fault | None:
        return fault if request.number % 3 == 2 else None

    with Proxy(web.port, every_third) as proxy:
        library.slim(f"http://127.0.0.1:{proxy.port}/last.pt", tmp_path / "remote.pt")
    library.slim(last, tmp_path / "local.pt")
    assert (tmp_path / "remote.pt").read_bytes() == (tmp_path / "local.pt").read_bytes()


def test_what_fails_for_long_is_an_error(web: Web, last: Path) -> None:
    with Proxy(web.port, lambda request: Fault(503) if request.number > 2 else None) as proxy:
        run = ptzip("verify", f"http://127.0.0.1:{proxy.port}/last.pt")
    assert run.code == 2
    assert "the server answers with error 503" in run.err


def test_what_is_closed_cannot_be_read(web: Web, last: Path) -> None:
    source = open_remote(f"{web.url}/last.pt")
    source.close()
    for use in (lambda: source.read(0, 1), source.check_unchanged):
        with pytest.raises(library.PtzipError, match="is closed"):
            use()


def test_patterns_and_folders_name_the_files_that_are_there(web: Web, last: Path) -> None:
    (web.files / "runs").mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.link(last, web.files / "runs" / "1.pt")
    assert expand_remote(f"{web.url}/runs/*.pt") == [f"{web.url}/runs/1.pt"]
    assert expand_remote(f"{web.url}/runs/") == [f"{web.url}/runs/1.pt"]
    assert expand_remote(f"{web.url}/last.pt?x=*") == [f"{web.url}/last.pt?x=*"]


def test_patterns_and_folders_of_a_bucket(bucket: Bucket, last: Path) -> None:
    for name in ("1/last.pt", "1/notes.txt", "2/3/last.pt"):
        (bucket.folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(last, bucket.folder / name)
    assert expand_remote("s3://bucket/**/*.pt") == ["s3://bucket/1/last.pt", "s3://bucket/2/3/last.pt"]
    assert expand_remote("s3://bucket/1/") == ["s3://bucket/1/last.pt", "s3://bucket/1/notes.txt"]
    assert "3 files: 3 OK" in ptzip("scan", "--whole", "s3://bucket/").out


def test_a_bucket_is_read_as_a_disk_is(bucket: Bucket, last: Path) -> None:
    os.link(last, bucket.folder / "last.pt")
    run = ptzip("verify", "s3://bucket/last.pt")
    assert (run.code, run.err) == (0, "")
    assert KEY not in run.out
    assert SECRET not in run.out


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(bucket: Bucket, tmp_path: Path) -> None:
    training(bucket.folder / "last.pt", seed=1)
    with library.open("s3://bucket/last.pt") as checkpoint:
        training(tmp_path / "new.pt", seed=2).replace(bucket.folder / "last.pt")
        with pytest.raises(ChangedError, match="another program replaced it"), unchanged(checkpoint.source):
            checkpoint["model.3"].numpy()
