"""Many files on a cluster of dask.distributed: each worker calls what a single process does, and sends plain reports back.

Tasks are small and can be done again. A worker that dies costs time; a file that kills every worker it is given to costs that
file alone.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptzip
from ptzip.cli.batch.one_file import failure, result_of
from ptzip.cli.batch.pool import Bounds, Pool
from ptzip.cli.batch.task import FAILED, KILLED, Result, Task
from ptzip.errors import EditError
from ptzip.io.atomic_output import slim_path
from ptzip.io.urls import is_url

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
"""In place of an address: a cluster on this machine, for this run."""

SECONDS_FOR_WORKERS = 60

RETRIES = 2
"""How often a task is done again after an error of the cluster itself; the scheduler counts workers that die by its own setting
`allowed-failures`."""

MOST_TOGETHER, ROUNDS = 32, 16
"""Files in one task of the cluster: at most so many, and few enough that each thread gets so many tasks."""

AHEAD = 4
"""Tasks that are submitted for each thread, so that memory does not grow with the number of files."""

Numbered = tuple[int, Result]


def cluster_results(tasks: Sequence[Task], address: str, jobs: int, bounds: Bounds) -> Iterator[Numbered]:
    """The number of each task and its result, as they end; `jobs` are the processes of a local cluster. Raises EditError
    where dask is missing, or where a worker has another version of ptzip."""
    if address != LOCAL:
        _check_paths(tasks)
    with _client(address, jobs) as client:
        yield from _Run(client, list(map(_repeatable, tasks)), bounds).results()


def _repeatable(task: Task) -> Task:
    """A task that may be done twice: its output must not be there now, so a second time overwrites what the first wrote."""
    options = task.options
    if task.command != "slim" or task.refusal or options["overwrite"] or options["dry_run"]:
        return task
    output = options["output"] or str(slim_path(task.path))
    if not is_url(output) and Path(output).exists():
        return task._replace(refusal=f"{output} already exists (use -f to overwrite)")
    return task._replace(options={**options, "overwrite": True})


def _check_paths(tasks: Iterable[Task]) -> None:
    for path in (task.path for task in tasks):
        if not is_url(path) and not Path(path).is_absolute():
            raise EditError(f"{path} is relative, but workers have folders of their own: name absolute paths or URLs")


def _client(address: str, jobs: int) -> "Client":
    try:
        import dask  # here and below, since it is there only with the extra
        from distributed import Client
    except ImportError as error:
        raise EditError("--scheduler needs dask.distributed: pip install 'ptzip[dask]'") from error
    try:
        if address != LOCAL:
            client = Client(address)
            client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
            return client
        with dask.config.set({"distributed.worker.daemon": False}):  # bounds need processes of the workers' own
            return Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    except (OSError, ValueError, TypeError) as error:  # the last where there are no certificates
        raise EditError(f"there is no cluster at {address}: {error}") from error


class _Run:
    """The tasks of a run, some of which are on the cluster."""

    def __init__(self, client: "Client", tasks: Sequence[Task], bounds: Bounds) -> None:
        self._client, self._tasks, self._bounds = client, tasks, bounds
        self._numbers: dict[Future, list[int]] = {}
        self._resources = {"MEMORY": bounds.memory} if bounds.memory and _has_memory(client) else None

    def results(self) -> Iterator[Numbered]:
        from distributed import as_completed  # here, since the module is there only with dask

        threads = max(sum(self._client.nthreads().values()), 1)
        size = max(1, min(MOST_TOGETHER, len(self._tasks) // (threads * ROUNDS)))
        waiting = (list(range(at, min(at + size, len(self._tasks)))) for at in range(0, len(self._tasks), size))
        ended = as_completed([self._submit(numbers) for _, numbers in zip(range(threads * AHEAD), waiting, strict=False)])
        for future in ended:
            numbers = self._numbers.pop(future)
            found = self._taken(future, numbers)
            if found is None:  # one of these files kills workers: each is tried alone
                ended.update([self._submit([number]) for number in numbers])
            else:
                yield from zip(numbers, found, strict=True)
                ended.update([self._submit(more) for more in [next(waiting, [])] if more])

    def _submit(self, numbers: list[int]) -> "Future":
        tasks = [self._tasks[number]._asdict() for number in numbers]
        arguments = (ptzip.__version__, tasks, self._bounds.timeout, self._bounds.memory)
        future = self._client.submit(run_together, *arguments, pure=False, retries=RETRIES, resources=self._resources)
        self._numbers[future] = numbers
        return future

    def _taken(self, future: "Future", numbers: list[int]) -> list[Result] | None:
        """What came of some tasks; None where they are to be tried one by one."""
        error = future.exception()
        if error is None:
            version, found = future.result()
            if version != ptzip.__version__:
                raise EditError(f"a worker has ptzip {version}, but this is {ptzip.__version__}: install one version")
            return [Result(**one) for one in found]
        if len(numbers) > 1:
            return None
        if type(error).__name__ == "KilledWorker":
            return [failure(self._tasks[numbers[0]], KILLED, "every worker that read it died")]
        return [failure(self._tasks[numbers[0]], FAILED, f"the cluster failed: {type(error).__name__}: {error}")]


def _has_memory(client: "Client") -> bool:
    """Whether workers say how much memory they have (`--resources MEMORY=8e9`), so that the scheduler can count it."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return bool(workers) and all("MEMORY" in worker["resources"] for worker in workers)


def run_together(
    version: str, tasks: Sequence[dict[str, Any]], timeout: float | None, memory: int | None
) -> tuple[str, list[dict[str, Any]]]:
    """What a worker does: its version, and the results of some tasks; none for a client of another version, whose tasks may
    mean something else."""
    if version != ptzip.__version__:
        return ptzip.__version__, []
    given = [Task(**one) for one in tasks]
    found = _within(given, Bounds(timeout, memory)) if timeout or memory else map(result_of, given)
    return version, [one._asdict() for one in found]


OF_THREAD = threading.local()
"""Its `pool` is that of one thread of a worker."""


def _within(tasks: Sequence[Task], bounds: Bounds) -> list[Result]:
    """The results of tasks that a process of this thread's own does."""
    pool = getattr(OF_THREAD, "pool", None)
    if pool is None or pool.bounds != bounds:
        pool = OF_THREAD.pool = Pool(1, bounds)
    return [found for _, found in pool.results(tasks)]
