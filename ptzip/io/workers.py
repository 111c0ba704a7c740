"""Threads that share jobs, each with memory of its own that it uses again for every piece of every job.

They are plain threads, since executors take longer to import than most files take to read.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ptzip.io.buffers import Buffers

MOST_WORKERS = 4
"""More do not write faster: the kernel takes one write to a file at a time."""

OWN_GROUPS, CGROUP = "/proc/self/cgroup", "/sys/fs/cgroup"
QUOTA, QUOTA_V1 = ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")
"""Files of a control group: microseconds of processor time, and the period in which it may use them."""

UNLIMITED = 1 << 16

Job = TypeVar("Job")


class Workers(Generic[Job]):
    """Calls `work(job, buffers)` for every job, in the background; on leaving its `with` block, the threads are stopped.

    Jobs are taken in order, in any thread.
    """

    def __init__(self, work: Callable[[Job, Buffers], object], jobs: Iterable[Job]) -> None:
        self._work, self._jobs = work, iter(jobs)
        self._lock = threading.Lock()
        self._failures = list[BaseException]()
        self._threads = [threading.Thread(target=self._run) for _ in range(worker_count() - 1)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Workers[Job]":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._join()

    def finish(self) -> None:
        """Work until no job is left, in this thread too. Raises what a job raised first, once all threads have stopped."""
        self._run()
        self._join()
        for failure in self._failures:
            raise failure

    def _run(self) -> None:
        buffers = Buffers()
        try:
            while (job := self._next()) is not None:
                self._work(job, buffers)
        except BaseException as error:
            self._failures.append(error)
            self._stop()

    def _next(self) -> Job | None:
        with self._lock:
            return next(self._jobs, None)

    def _stop(self) -> None:
        with self._lock:
            self._jobs = iter(())

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()


def share(work: Callable[[Job, Buffers], object], jobs: Iterable[Job]) -> None:
    """Do all jobs, in several threads. Raises what a job raised first."""
    with Workers(work, jobs) as workers:
        workers.finish()


def worker_count() -> int:
    """The threads that read or write one file."""
    return min(MOST_WORKERS, cpu_count())


def cpu_count() -> int:
    """The processors that this process may use: those of its affinity, and no more than the quota of its container."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on, where the user may set it
        count = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min(count, _quota()))


def _quota() -> int:
    """The processors that the control groups of this process get, rounded up (the kernel's `cgroup-v2.rst`, "cpu.max", and
    `cgroup-v1`, `sched-bwc.rst`)."""
    try:
        with open(OWN_GROUPS) as groups:  # noqa: PTH123 (pathlib takes a twentieth of most commands to import)
            rows = [line.rstrip("\n").split(":", 2) for line in groups]
    except OSError:
        return UNLIMITED
    found = UNLIMITED
    for _, controllers, path in rows:
        if not controllers or "cpu" in controllers.split(","):
            root, files = (f"{CGROUP}/cpu", QUOTA_V1) if controllers else (CGROUP, QUOTA)
            names = path.strip("/").split("/")
            found = min(found, *(_quota_of("/".join((root, *names[:depth])), files) for depth in range(len(names) + 1)))
    return found


def _quota_of(folder: str, files: tuple[str, ...]) -> int:
    words = list[str]()
    try:
        for name in files:
            with open(f"{folder}/{name}") as text:  # noqa: PTH123 (as above)
                words += text.read().split()
        quota, period = map(int, words)
    except (OSError, ValueError):  # there is none, or it is "max"
        return UNLIMITED
    return -(-quota // period) if quota > 0 else UNLIMITED  # -1 is none
