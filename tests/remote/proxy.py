"""A proxy before a server, which fails as networks and servers do, or is as slow as they are; it counts what passes."""

import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

PIECE = 1 << 14

BURST = 0.05
"""Seconds for which a line may make up for what it did not carry, as sleeping threads wake up late."""


class Request(NamedTuple):
    """One request: its method, its path, and how many were there before."""

    method: str
    path: str
    number: int


class Fault(NamedTuple):
    """What happens to a request: an error of HTTP in place of an answer, or an answer that is cut after so many bytes."""

    status: int = 0
    cut: int | None = None


Decide = Callable[[Request], Fault | None]


def no_fault(request: Request) -> None:
    """Let every request pass."""


class Proxy:
    """Serves in a `with` block. `rate` is in bytes per second, of all connections together; `latency` in seconds."""

    def __init__(self, port: int, decide: Decide = no_fault, rate: float = 0, latency: float = 0) -> None:
        self.upstream, self.decide, self.rate, self.latency = port, decide, rate, latency
        self.requests, self.sent = list[Request](), 0
        self._lock, self._free_at = threading.Lock(), 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as reader:
                head = b""
                while (line := reader.readline()) not in (b"\r\n", b""):
                    head += line
                if b"\nexpect:" in head.lower():
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                if head:
                    self._answer(client, head, reader.read(_length(head)))
        except OSError:
            pass  # the other side left

    def _answer(self, client: socket.socket, head: bytes, body: bytes) -> None:
        time.sleep(self.latency)
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        with self._lock:
            request = Request(method, path, len(self.requests))
            self.requests.append(request)
        fault = self.decide(request) or Fault()
        if fault.status:
            client.sendall(b"HTTP/1.1 %d Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % fault.status)
            return
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith((b"connection:", b"expect:"))]
        with socket.create_connection(("127.0.0.1", self.upstream)) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            self._wait(len(body))
            self._relay(server, client, fault.cut)

    def _relay(self, server: socket.socket, client: socket.socket, most: int | None) -> None:
        done = 0
        while (piece := server.recv(PIECE)) and (most is None or done < most):
            piece = piece if most is None else piece[: most - done]
            self._wait(len(piece))
            client.sendall(piece)
            done += len(piece)
            with self._lock:
                self.sent += len(piece)

    def _wait(self, count: int) -> None:
        """Wait until the line, which all connections share, has carried so many bytes."""
        if not self.rate:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() - BURST) + count / self.rate
            until = self._free_at
        time.sleep(max(until - time.monotonic(), 0))


def _length(head: bytes) -> int:
    lines = (line.lower() for line in head.split(b"\r\n"))
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
