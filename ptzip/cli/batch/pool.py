"""Several processes for several files, within bounds of time and memory.

A process that dies, by itself or because it took too long, costs the file that it had, and is replaced. All end with the
process that started them, and leave no unfinished file.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from ptzip.cli.batch.one_file import failure, result_of
from ptzip.cli.batch.task import KILLED, MEMORY, TIMEOUT, Result, Task
from ptzip.errors import EditError
from ptzip.io.system import MOST_PROCESSES
from ptzip.io.unfinished import discard_unfinished
from ptzip.process import handle_signals, set_up

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

PRELOADED = ["ptzip.cli.batch.one_file", "ptzip.cli.batch.pool", "ptzip.checkpoint"]
"""What new processes have before they start."""

LONGEST_WAIT = 3600.0
"""Seconds after which to look again at what has not happened: systems wait for no more than some years."""

OUT_OF_MEMORY = 70
"""The exit code of a process that had not even memory left for a result."""

TOO_LARGE = "reading it takes too much: out of memory"

SECONDS_BETWEEN_LOOKS = 0.02
"""How often the memory of processes is looked at, where it is bounded."""

HEADROOM = 64 << 20
"""How many bytes beyond its bound a process gets, until it is ended: one that gets none at all can hang, since CPython 3.11
tries without end to handle an error for which it has no memory (`exception_unwind` in `Python/ceval.c`)."""

SECONDS_TO_DIE = 1.0
"""How long a process that closed its pipe may take until it is gone."""


HAS_SERVER = "forkserver" in multiprocessing.get_all_start_methods()
CONTEXT = multiprocessing.get_context("forkserver") if HAS_SERVER else multiprocessing.get_context("spawn")
"""How processes are started: never by a fork of this one, whose threads may hold locks that no thread of the copy releases."""

Work = Callable[[Task], Result]
"""What a process does with a task, a function of a module."""


class Bounds(NamedTuple):
    """What one file may take: seconds from when a process got it, and bytes of memory that its process may write to."""

    timeout: float | None = None
    memory: int | None = None


NO_BOUNDS = Bounds()


class _Worker:
    """A process and the task that it has, the one of number `index`. It ends when `life` does, a pipe that says nothing."""

    def __init__(self, work: Work, life: "Connection[None, None]", bounds: Bounds) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, life, work, bounds.memory), daemon=True)
        self.process.start()
        theirs.close()
        self._timeout = bounds.timeout

    def give(self, index: int, task: Task) -> None:
        self.index, self.task = index, task
        self.deadline = time.monotonic() + self._timeout if self._timeout else float("inf")
        with contextlib.suppress(OSError):  # it died while it waited: its result says so
            self.pipe.send(task)

    def take(self) -> Result | None:
        """The result that was sent; None where the process died before."""
        try:
            found: Result = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return found

    def end(self, patience: float = 0.0) -> int:
        """End the process; returns its exit code, which is minus the number of the signal that ended it."""
        self.process.join(patience)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode or 0


class Pool:
    """At most `count` processes that do tasks within bounds, used in a `with` block."""

    def __init__(self, count: int, bounds: Bounds = NO_BOUNDS, work: Work = result_of) -> None:
        if bounds.memory and resource is None:
            raise EditError("--memory needs a system that can limit the memory of a process, which this one cannot")
        if HAS_SERVER:
            CONTEXT.set_forkserver_preload(PRELOADED)
        self._work, self.bounds = work, bounds
        self._life = CONTEXT.Pipe(duplex=False)
        self._workers: list[_Worker | None] = [None] * min(count, MOST_PROCESSES)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in filter(None, self._workers):
            worker.end()
        for end in self._life:
            end.close()

    def results(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Result]]:
        """The number of each task and its result, as they end."""
        waiting = enumerate(tasks)
        busy = {slot: worker for slot in range(len(self._workers)) if (worker := self._fed(slot, waiting))}
        longest = SECONDS_BETWEEN_LOOKS if self.bounds.memory else LONGEST_WAIT
        while busy:
            patience = min(worker.deadline for worker in busy.values()) - time.monotonic()
            ready = wait([worker.pipe for worker in busy.values()], min(max(patience, 0), longest))
            for slot, worker in list(busy.items()):
                if worker.pipe in ready or (ended := self._beyond(worker)):
                    yield worker.index, self._result(slot, worker, None if worker.pipe in ready else ended)
                    if following := self._fed(slot, waiting):
                        busy[slot] = following
                    else:
                        del busy[slot]

    def _fed(self, slot: int, waiting: Iterator[tuple[int, Task]]) -> _Worker | None:
        """The process of a slot, once it has the next task; None where there is no task."""
        index, task = next(waiting, (-1, None))
        if task is None:
            return None
        worker = self._workers[slot] = self._workers[slot] or _Worker(self._work, self._life[0], self.bounds)
        worker.give(index, task)
        return worker

    def _beyond(self, worker: _Worker) -> Result | None:
        """The result of a task that takes more than the bounds."""
        if worker.deadline <= time.monotonic():
            return failure(worker.task, TIMEOUT, f"it took more than {self.bounds.timeout:g} s")
        if self.bounds.memory and _written_by(worker.process.pid) > self.bounds.memory:
            return failure(worker.task, MEMORY, TOO_LARGE)
        return None

    def _result(self, slot: int, worker: _Worker, ended: Result | None) -> Result:
        """What came of a task: `ended`, or what its process sent. One that died, is late or too large is not used again."""
        found = ended or worker.take()
        if found is None or found.outcome in (MEMORY, TIMEOUT):
            self._workers[slot] = None
            code = worker.end(SECONDS_TO_DIE if found is None else 0)
            found = found or _lost(worker.task, code)
        return found


def _lost(task: Task, code: int) -> Result:
    """The result of a task whose process ended with a code before it sent one."""
    if code == OUT_OF_MEMORY:
        return failure(task, MEMORY, TOO_LARGE)
    return failure(task, KILLED, f"the process that read it {_end_in_words(code)}")


def _end_in_words(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"was killed by {name}" + (" (the system may have run out of memory)" if name == "SIGKILL" else "")


def _serve(pipe: "Connection[Result, Task]", life: "Connection[None, None]", work: Work, memory: int | None) -> None:
    """Do the tasks that come through a pipe, in a process that has no settings of its parent's."""
    handle_signals(is_worker=True)
    set_up()
    Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    try:
        _limit(memory)
        with contextlib.suppress(EOFError, OSError):  # the parent is gone
            while True:
                pipe.send(work(pipe.recv()))
    except MemoryError:
        discard_unfinished()
        os._exit(OUT_OF_MEMORY)


def _written_by(process: int | None) -> int:
    """How many bytes a process may write to, as RLIMIT_DATA counts them (proc(5), statm); 0 where the system does not say."""
    try:
        with open(f"/proc/{process}/statm") as pages:  # noqa: PTH123 (pathlib is not loaded here)
            return int(pages.read().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _limit(memory: int | None) -> None:
    """Let this process write to so many bytes and the headroom, or to fewer where the system says so."""
    if memory and resource is not None:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bound = min(memory + HEADROOM, sys.maxsize if most == resource.RLIM_INFINITY else most)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _end_with_parent(reader: "Connection[None, None]") -> None:
    """End this process when its parent does, even if that was killed: the pipe is closed then."""
    try:
        with contextlib.suppress(OSError):  # as Windows reports the end of a pipe
            reader.poll(None)  # nothing is ever sent
        discard_unfinished()
    finally:
        os._exit(1)
