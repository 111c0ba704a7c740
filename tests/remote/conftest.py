"""The servers, each started once for a run and ended after it."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.servers import KEY, SECRET, Bucket, Web, nginx, s3_of, sftp_of


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with nginx(tmp_path_factory.mktemp("nginx")) as served:
        yield served


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("s3")
    with s3_of(folder) as port:
        yield folder, port


@pytest.fixture
def bucket(s3_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    folder, port = s3_server
    use_s3(port, monkeypatch)
    (folder / "bucket").mkdir()
    yield Bucket(folder / "bucket", port)
    for path in sorted((folder / "bucket").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "bucket").rmdir()


def use_s3(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let s3fs use a server of this machine."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    settings = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**settings, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a folder on a server of SFTP."""
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with sftp_of(tmp_path) as port:
        yield f"sftp://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/files"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptzip.io.remote_errors.PAUSES", (0.01,) * 6)
