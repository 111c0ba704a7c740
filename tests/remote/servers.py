"""The servers: nginx for HTTP, rclone for S3 and OpenSSH for SFTP."""

import contextlib
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
    location /round/ {{ return 302 $uri; }}
    location /away/ {{ return 302 file:///etc/hostname; }}
    location /untagged/ {{ alias {folder}/files/; etag off; }}
    location /private/ {{ return 403; }}
  }}
}}
"""


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
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


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Web]:
    """Serve the folder `files` in a folder, until the block ends."""
    web = Web(folder, free_port())
    web.files.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=web.port))
    with running("nginx", "-c", folder / "nginx.conf", "-e", folder / "errors.log", port=web.port):
        yield web


@contextlib.contextmanager
def s3_of(folder: Path) -> Iterator[int]:
    """Serve the folders in a folder as buckets; yields the port."""
    port, rclone = free_port(), Path(sysconfig.get_path("scripts"), "rclone")
    words = ("--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}", "--config", "/dev/null", "--dir-cache-time", "1ms")
    with running(rclone, "serve", "s3", *words, folder, port=port):
        yield port


@contextlib.contextmanager
def sftp_of(folder: Path) -> Iterator[int]:
    """Serve the disk to whoever has the key in `.ssh` of a folder, a home for the user; yields the port."""
    port, key = free_port(), folder / ".ssh" / "id_ed25519"
    key.parent.mkdir(mode=0o700)
    for name in (key, folder / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name], check=True)
    (folder / "sshd_config").write_text(SSHD.format(folder=folder, port=port, key=key))
    sshd = shutil.which("sshd") or ""  # which wants its full path
    with running(sshd, "-D", "-f", folder / "sshd_config", port=port):
        yield port


@contextlib.contextmanager
def running(*words: str | Path, port: int) -> Iterator[None]:
    """Run a server, from the moment at which it answers until the block ends."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port)
            yield
        finally:
            server.terminate()


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
