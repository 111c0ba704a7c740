"""The flags for many files, of all commands that take them, and the run over the files."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ptzip.cli.batch.one_file import Seen, result_of, run_task
from ptzip.cli.batch.run import How, results
from ptzip.cli.batch.task import Result, Task
from ptzip.cli.parser import byte_size, count, local_file, part, seconds
from ptzip.cli.printing import Bar
from ptzip.cli.streams import STANDARD, is_stdin, source
from ptzip.errors import EditError
from ptzip.io.unfinished import WRITTEN
from ptzip.render import words

SLOW, MANY = ("slim", "verify"), 100
"""The commands that read all bytes, and from how many files on others take long enough for a progress bar."""

TOGETHER = 8
"""From so many files on, all processors are used: starting a process takes as long as some small files."""


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add the flags for many files. `misuse` ends the process where there are none."""
    parser.set_defaults(misuse=parser.error)
    group = parser.add_argument_group("many files (ptzip help many-files)")
    listed = "also the files that FILE lists, one a line or ended by NUL; - is stdin"
    group.add_argument("--files-from", type=local_file, metavar="FILE", help=listed)
    one_part = "only part I of N, by a hash of each path: --shard 3/16"
    group.add_argument("--shard", type=part, metavar="I/N", help=one_part)
    jobs = f"processes (default: all processors from {TOGETHER} files on)"
    group.add_argument("-j", "--jobs", type=count, metavar="N", help=jobs)
    cluster = "a dask cluster at tcp://HOST:PORT or tls://HOST:PORT, or local (pip install 'ptzip[dask]')"
    group.add_argument("--scheduler", metavar="ADDRESS", help=cluster)
    group.add_argument("--jsonl", type=local_file, metavar="OUT", help="write a line of JSON for each file as it ends")
    again = "the same, but continue OUT: skip what it has and what has not changed since"
    group.add_argument("--resume", type=local_file, metavar="OUT", help=again)
    late = "give up a file after so many seconds"
    group.add_argument("--timeout", type=seconds, metavar="SECONDS", help=late)
    group.add_argument("--memory", type=byte_size, metavar="SIZE", help="give up a file that takes more memory, such as 2GB")


def named(arguments: argparse.Namespace, given: Sequence[str]) -> list[str]:
    """The names on the command line and in the list of `--files-from`, one of which has to be given."""
    found = [*given, *(_listed(arguments.files_from) if arguments.files_from else ())]
    if not found and not arguments.files_from:
        arguments.misuse("the following arguments are required: PATH, or --files-from")
    return found


def _listed(name: str) -> list[str]:
    """The names in a list. With a NUL in it every name ends with one, as `find -print0` writes them, else with a line."""
    with contextlib.nullcontext(sys.stdin.buffer) if name == STANDARD else open(name, "rb") as file:
        data: bytes = file.read()
    lines = data.split(b"\0") if b"\0" in data else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    return [os.fsdecode(line) for line in lines if line]


def outcomes(tasks: Sequence[Task], arguments: argparse.Namespace, seen: Seen | None = None) -> Iterator[Result]:
    """The result of each task in this part of the files; `seen` gets the reports themselves, of tasks that are done here."""
    is_logged = bool(arguments.jsonl or arguments.resume)
    tasks = [task._replace(is_logged=is_logged) for task in tasks if not arguments.shard or arguments.shard.has(task.path)]
    how = _how(tasks, arguments, must_be_here=seen is not None or any(is_stdin(task.path) for task in tasks))
    do = run_task if len(tasks) == 1 else result_of  # a defect that ends nothing else shows its traceback
    paths = [task.path for task in tasks if len(tasks) >= MANY or task.command in SLOW]
    with _log(arguments) as log, Bar(paths, arguments) as bar:
        for found in results(tasks, how, log, lambda task: do(task, source(task.path), bar.next(), seen)):
            if not how.is_here:
                bar.next()
                WRITTEN.extend(filter(None, [found.report.get("output")]))
            yield found


def _how(tasks: Sequence[Task], arguments: argparse.Namespace, must_be_here: bool) -> How:
    """Where the tasks are done. Other processes have no stdin."""
    jobs = arguments.jobs or (_cpu_count() if len(tasks) >= TOGETHER or arguments.scheduler else 1)
    how = How(min(jobs, len(tasks)), arguments.scheduler or "", arguments.timeout, arguments.memory)
    if must_be_here and (how.scheduler or how.timeout or how.memory):
        raise EditError("stdin and the page of one file take no --scheduler, --timeout or --memory: remove those")
    return How() if must_be_here else how


def _cpu_count() -> int:
    from ptzip.io.workers import cpu_count  # here, since a single file does without threads

    return cpu_count()


def _log(arguments: argparse.Namespace) -> Any:
    if not arguments.jsonl and not arguments.resume:
        return contextlib.nullcontext()
    if arguments.jsonl and arguments.resume:
        raise EditError("--resume writes the results too: remove --jsonl")
    if STANDARD in (arguments.jsonl, arguments.resume):
        raise EditError("the results as JSON Lines go to a file, not to stdout: name one")
    from ptzip.cli.batch.log import Log  # here, since few runs have one

    return Log(arguments.jsonl or arguments.resume, resume=bool(arguments.resume))


def text_settings(is_text: bool, **more: object) -> dict[str, Any]:
    """How the text of results is printed, for other processes; empty where none is."""
    return {"width": words.WIDTH, **more} if is_text else {}


def refuse_batch(arguments: argparse.Namespace, why: str) -> None:
    """Raise EditError where a flag for many files is given."""
    given = {
        "--jobs": arguments.jobs,
        "--scheduler": arguments.scheduler,
        "--jsonl": arguments.jsonl,
        "--resume": arguments.resume,
        "--timeout": arguments.timeout,
        "--memory": arguments.memory,
    }
    for flag in (flag for flag, value in given.items() if value is not None):
        raise EditError(f"{flag} {why}")
