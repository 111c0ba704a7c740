"""Many tasks: in this process, in several, or on a cluster. What an earlier run did is not done again."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ptzip.cli.batch.one_file import result_of
from ptzip.cli.batch.task import Result, Task

if TYPE_CHECKING:
    from ptzip.cli.batch.log import Log


class How(NamedTuple):
    """How tasks are done: in so many processes or by the dask scheduler at an address, each file within `timeout` seconds and
    `memory` bytes."""

    jobs: int = 1
    scheduler: str = ""
    timeout: float | None = None
    memory: int | None = None

    @property
    def is_here(self) -> bool:
        """Whether this process does them itself."""
        return self.jobs == 1 and not self.scheduler and not self.timeout and not self.memory


Here = Callable[[Task], Result]
"""How this process does a task."""


def results(tasks: Sequence[Task], how: How, log: "Log | None" = None, here: Here = result_of) -> Iterator[Result]:
    """The result of each task, in their order; each is in the log as soon as its file ends.

    A file that nobody named and that cannot be read is no checkpoint, and has no result.
    """
    is_done = [log is not None and log.is_done(task) for task in tasks]
    new = [task for task, done in zip(tasks, is_done, strict=True) if not done]
    found = _in_order(_logged(new, _ended(new, how, here), log))
    for task, done in zip(tasks, is_done, strict=True):
        result = log.earlier(task) if log and done else next(found)
        if not _is_none(task, result):
            yield result


def _is_none(task: Task, found: Result) -> bool:
    """Whether a file is no checkpoint after all."""
    return task.is_guess and found.outcome == "unreadable"


Numbered = Iterator[tuple[int, Result]]
"""Results with the numbers of their tasks, as they end."""


def _logged(tasks: Sequence[Task], ended: Numbered, log: "Log | None") -> Numbered:
    for number, found in ended:
        if log and not _is_none(tasks[number], found):
            log.append(tasks[number], found)
        yield number, found


def _in_order(ended: Numbered) -> Iterator[Result]:
    """The results by number; one that ends before those in front of it waits for them."""
    waiting, following = dict[int, Result](), 0
    for number, found in ended:
        waiting[number] = found
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _ended(tasks: Sequence[Task], how: How, here: Here) -> Numbered:
    """The results as they end."""
    if how.is_here:
        yield from enumerate(map(here, tasks))
        return
    from ptzip.cli.batch.pool import Bounds, Pool  # here and below: processes and dask take long to import

    bounds = Bounds(how.timeout, how.memory)
    if how.scheduler:
        from ptzip.cli.batch.cluster import cluster_results  # as above

        yield from cluster_results(tasks, how.scheduler, how.jobs, bounds)
        return
    with Pool(min(how.jobs, len(tasks)), bounds) as pool:
        yield from pool.results(tasks)
