"""Kills `ptzip slim -i` at every system call it makes: `python -m tests.cli.kill_at_each_call FILE`.

A child process is forked for each point; it runs the command and sends itself SIGKILL there: before the call, after it, or
with half of the bytes written. One line is printed for each point: the call, the moment, and the state of the file afterwards.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ptzip.cli.main import main

CALLS = ("open", "pread", "pwrite", "fsync", "close", "fchmod", "fchown", "replace", "unlink")
"""The system calls of `slim`, all made through `os`."""

BEFORE, HALFWAY, AFTER = "before", "halfway", "after"


class Countdown:
    """Kills this process at call number `at`."""

    def __init__(self, at: int, moment: str, note: Callable[[str], object]) -> None:
        self.left, self.moment, self.note = at, moment, note
        self.lock = threading.Lock()

    def wrapped(self, name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            with self.lock:
                self.left -= 1
                if self.left:
                    return call(*arguments, **named)
            self.note(name)
            return self.act(name, call, arguments, named)

        return counted

    def act(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> NoReturn:
        if self.moment == HALFWAY and name == "pwrite":
            call(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
        elif self.moment == AFTER:
            call(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def run_child(path: str, at: int, moment: str) -> tuple[bool, str]:
    """Slim in a forked process that dies at call number `at`; whether it died, and in which call."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        countdown = Countdown(at, moment, lambda name: os.write(writing, name.encode()))
        for name in CALLS:
            setattr(os, name, countdown.wrapped(name))
        os._exit(main(["slim", "-i", "-q", path]))
    os.close(writing)
    name = os.read(reading, 100).decode()
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), name


def kill_everywhere(path: Path, moment: str) -> None:
    before = path.read_bytes()
    for at in itertools.count(1):
        died, name = run_child(str(path), at, moment)
        if not died:
            break
        after = path.read_bytes()
        print(at, name, moment, "old" if after == before else after.hex())
        path.write_bytes(before)
    path.write_bytes(before)


if __name__ == "__main__":
    main(["slim", "-q", "-n", sys.argv[1]])  # imports everything once, so that the children need not
    for each in (BEFORE, HALFWAY, AFTER):
        kill_everywhere(Path(sys.argv[1]), each)
