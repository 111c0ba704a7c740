"""Outputs at URLs appear when they are complete, and not at all if something fails."""

import getpass
from pathlib import Path

import pytest

import ptzip as library
from tests.cli.shell import ptzip
from tests.remote.checkpoints import training
from tests.remote.conftest import use_s3
from tests.remote.proxy import Fault, Proxy, Request
from tests.remote.servers import Bucket, Web

pytestmark = pytest.mark.remote


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptzip.io.remote_output.PART", 5 << 20)  # the least that S3 takes


@pytest.fixture
def last(bucket: Bucket) -> Path:
    return training(bucket.folder / "last.pt")


def names(bucket: Bucket) -> set[str]:
    return {str(path.relative_to(bucket.folder)) for path in bucket.folder.rglob("*") if path.is_file()}


def test_an_output_shows_no_credentials(bucket: Bucket, tmp_path: Path) -> None:
    run = ptzip("slim", training(tmp_path / "last.pt"), "-o", "s3://u:a-password@b/x.pt?token=a-token")
    assert run.code == 2
    assert "a-password" not in run.err
    assert "a-token" not in run.err


def test_slim_writes_into_a_folder_of_the_bucket(bucket: Bucket, last: Path, tmp_path: Path) -> None:
    run = ptzip("slim", "s3://bucket/last.pt", "-o", "s3://bucket/slim/")
    assert run.code == 0
    assert "s3://bucket/last.pt -> s3://bucket/slim/last.pt" in run.out
    library.slim(last, tmp_path / "local.pt")
    assert (bucket.folder / "slim" / "last.pt").read_bytes() == (tmp_path / "local.pt").read_bytes()


def test_files_of_a_pattern_keep_their_folders(bucket: Bucket, last: Path) -> None:
    for name in ("1", "2"):
        (bucket.folder / "runs" / name).mkdir(parents=True)
        training(bucket.folder / "runs" / name / "last.pt")
    assert ptzip("slim", "s3://bucket/runs/**/*.pt", "-o", "s3://bucket/slim/").code == 0
    assert {"slim/1/last.pt", "slim/2/last.pt"} <= names(bucket)


def test_all_shards_appear(bucket: Bucket, last: Path) -> None:
    run = ptzip("convert", "s3://bucket/last.pt", "-o", "s3://bucket/new/a.safetensors", "--max-shard-size", "2MB", "--json")
    assert run.code == 0
    assert "s3://bucket/new/a.safetensors.index.json" in run.out
    assert {"new/a-00001-of-00002.safetensors", "new/a-00002-of-00002.safetensors", "new/a.safetensors.index.json"} <= names(
        bucket
    )


OUTPUTS = (
    ("convert", "s3://bucket/last.pt", "-o", "s3://bucket/out.npz"),
    ("inspect", "s3://bucket/last.pt", "--extract", "0:100", "-o", "s3://bucket/out.npz"),
    ("scan", "s3://bucket/last.pt", "--whole", "--json", "-o", "s3://bucket/out.npz"),
    ("slim", "s3://bucket/last.pt", "--format", "same", "-o", "s3://bucket/out.pt"),
)


@pytest.mark.parametrize("words", OUTPUTS, ids=lambda words: words[0])
def test_an_output_is_replaced_only_if_that_is_wanted(words: tuple[str, ...], bucket: Bucket, last: Path) -> None:
    assert ptzip(*words).code == 0
    again = ptzip(*words)
    assert again.code == 2
    assert f"{words[-1]} already exists (use -f to overwrite)" in again.err
    assert ptzip(*words, "-f").code == 0


def test_an_input_at_a_url_needs_an_output(bucket: Bucket, last: Path) -> None:
    assert "a file at a URL needs an output" in ptzip("slim", "s3://bucket/last.pt").err
    assert "a file at a URL is not overwritten" in ptzip("slim", "-i", "s3://bucket/last.pt").err
    assert names(bucket) == {"last.pt"}


def test_a_checkpoint_is_saved_to_a_url(bucket: Bucket, last: Path) -> None:
    with library.open("s3://bucket/last.pt") as checkpoint:
        checkpoint.save("s3://bucket/copy.pt")
    assert (bucket.folder / "copy.pt").read_bytes() == last.read_bytes()


def test_sftp_is_read_and_written(sftp: str, tmp_path: Path) -> None:
    training(tmp_path / "files" / "last.pt")
    assert ptzip("slim", f"{sftp}/last.pt", "-o", f"{sftp}/slim/").code == 0
    assert ptzip("verify", f"{sftp}/slim/last.pt").code == 0
    assert "2 files: 2 OK" in ptzip("scan", "--whole", f"{sftp}/**/*.pt").out
    again = ptzip("slim", f"{sftp}/last.pt", "-o", f"{sftp}/slim/")
    assert "already exists (use -f to overwrite)" in again.err
    assert getpass.getuser() + "@" not in again.err


def test_nothing_is_written_to_http(web: Web, bucket: Bucket, last: Path) -> None:
    run = ptzip("slim", last, "-o", f"http://user:word@127.0.0.1:{web.port}/out.pt?token=word")
    assert run.code == 2
    assert f"nothing is written to {web.url}/" in run.err
    assert "word" not in run.err


@pytest.mark.parametrize("status", [403, 507])
@pytest.mark.parametrize("at", ["POST", "PUT"])
def test_a_bucket_that_takes_no_more_gets_nothing(
    at: str, status: int, bucket: Bucket, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: Request) -> Fault | None:
        return Fault(status) if request.method == at else None

    with Proxy(bucket.port, refuse) as proxy:
        use_s3(proxy.port, monkeypatch)
        monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
        run = ptzip("slim", "s3://bucket/last.pt", "-o", "s3://bucket/slim.pt")
    assert run.code == 2
    assert names(bucket) == {"last.pt"}
