"""The servers, each started once for a run and ended after it."""

import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

KEY, SECRET = "AKIAEXAMPLE", "an-example-of-a-secret"

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/errors.log; user root;
events {{}}
http {{
  log_format requests '$request_method $uri $status $body_bytes_sent';
  access_log {folder}/requests.log requests;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}; root {folder}/files; autoindex on;
    location /whole/ {{ alias {folder}/files/; max_ranges 0; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /untagged/ {{ alias {folder}/files/; etag off; }}
    location /private/ {{ return 403; }}
  }}
}}
"""


class Logged(NamedTuple):
    """A request in the log of the server."""

    method: str
    path: str
    status: int
    size: int


class Web(NamedTuple):
    """nginx, which serves `files` with ranges, below `whole/` without, below `moved/` after a redirect."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def log(self) -> list[Logged]:
        """The requests so far; answers are logged once they are sent."""
        time.sleep(0.05)
        rows = [line.split() for line in (self.folder / "requests.log").read_text().splitlines()]
        return [Logged(method, path, int(status), int(size)) for method, path, status, size in rows]


class Bucket(NamedTuple):
    """A bucket of `rclone serve s3`, which keeps it in a folder."""

    folder: Path
    port: int
    url: str = "s3://bucket"


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "files").mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    with subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors.log")]) as server:
        try:
            await_port(port)
            yield Web(folder, port)
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    rclone = Path(sysconfig.get_path("scripts"), "rclone")
    words = ["serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}", "--config", "/dev/null"]
    with subprocess.Popen([rclone, *words, "--dir-cache-time", "1ms", folder], stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port)
            yield folder, port
        finally:
            server.terminate()


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


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptzip.io.remote.PAUSES", (0.01,) * 6)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def await_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"no server at port {port}")
