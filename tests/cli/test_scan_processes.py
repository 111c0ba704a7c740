"""The processes of `ptzip scan -j`: they end with the one that started them."""

import os
import subprocess
import sys
import time

from ptzip import ScanReport, Verdict
from ptzip.cli.scan import _together
from tests.cli.shell import environment

WORKERS = 3
LONG_SECONDS = 600
"""How long a worker would live by itself."""


def wait_long(path: str) -> ScanReport:
    os.write(1, b".")
    time.sleep(LONG_SECONDS)
    return ScanReport(path, Verdict.UNREADABLE)


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.read(1) for _ in range(WORKERS)] == [b"."] * WORKERS
        parent.kill()
        rest, errors = parent.communicate(timeout=LONG_SECONDS / 2)  # up to the end of the last process that could write
    assert rest == b""
    assert not errors or (b"resource_tracker" in errors and b"Traceback" not in errors)  # where workers are not forked


if __name__ == "__main__":
    list(_together([f"{number}" for number in range(100)], wait_long, WORKERS))
