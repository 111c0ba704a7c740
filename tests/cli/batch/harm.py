"""What a file can do to the process that reads it, as tasks whose paths say it."""

import os
import signal
import time
from collections.abc import Callable, Iterable

from ptzip.cli.batch.one_file import failure
from ptzip.cli.batch.pool import Bounds, Pool
from ptzip.cli.batch.task import MEMORY, Result, Task

LONG = 600
"""Seconds that no test waits for."""


def task(path: str) -> Task:
    return Task("verify", path, {}, {})


def harmful(given: Task) -> Result:
    """The result "intact", unless the path says what happens instead."""
    word = given.path.partition(" ")[0]
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(7)
    if word == "wait":
        os.write(1, b".")
        time.sleep(LONG)
    if word == "starve":
        raise MemoryError
    if word == "fill":
        try:
            return Result(given.path, "intact", 0, {"filled": len(bytes(1 << 34))})
        except MemoryError:
            return failure(given, MEMORY, "out of memory")
    return Result(given.path, "intact", 0, {"path": given.path})


def run(paths: Iterable[str], count: int = 2, bounds: Bounds = Bounds(), each: Callable[[], object] = int) -> dict[str, Result]:  # noqa: B008 (it is immutable)
    """The results of a pool by path; fails where one is given twice. `each` is called after every result."""
    found = dict[str, Result]()
    tasks = list(map(task, paths))
    with Pool(count, bounds, harmful) as workers:
        for number, result in workers.results(tasks):
            assert result.path == tasks[number].path
            assert result.path not in found
            found[result.path] = result
            each()
    return found
