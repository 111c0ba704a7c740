"""What a look at a URL costs: requests, bytes and seconds, against a download and a look at the copy.

`python -m tests.bench.remote FILE` serves a checkpoint by nginx, behind a proxy of 100 Mbit/s and 20 ms.
"""

import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ptzip
from tests.remote.proxy import Proxy
from tests.remote.servers import nginx

RATE, LATENCY = 100e6 / 8, 0.02


class Cost(NamedTuple):
    """What one run took."""

    seconds: float
    requests: int
    size: int

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s {self.requests:6,} requests {self.size:14,} bytes"


def measured(proxy: Proxy, run: Callable[[], object]) -> Cost:
    began, requests, sent = time.monotonic(), len(proxy.requests), proxy.sent
    run()
    return Cost(time.monotonic() - began, len(proxy.requests) - requests, proxy.sent - sent)


def main(file: Path) -> None:
    with tempfile.TemporaryDirectory() as name, nginx(Path(name)) as web, Proxy(web.port, rate=RATE, latency=LATENCY) as proxy:
        (web.files / "last.pt").symlink_to(file.resolve())
        url, copy, slim = f"http://127.0.0.1:{proxy.port}/last.pt", Path(name, "copy.pt"), Path(name, "slim.pt")

        def download() -> None:
            with urllib.request.urlopen(url) as answer, copy.open("wb") as written:
                shutil.copyfileobj(answer, written, 1 << 20)

        looks: dict[str, Callable[[str | Path], object]] = {
            "inspect": ptzip.inspect,
            "scan": ptzip.scan,
            "slim": lambda source: ptzip.slim(source, slim, overwrite=True),
        }
        print(f"{'download':10}", downloaded := measured(proxy, download))
        for command, look in looks.items():
            local = measured(proxy, lambda look=look: look(copy))  # type: ignore[misc]
            print(f"{command:10}", measured(proxy, lambda look=look: look(url)))  # type: ignore[misc]
            print(f"{'':10} {downloaded.seconds + local.seconds:7.1f} s of a download and the copy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
