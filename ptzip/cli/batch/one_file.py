"""The commands for one file: a task in, a result out. Every way to do many files calls `result_of`, so all give the same."""

import errno
import time
from collections.abc import Callable, Iterable
from typing import Any

import ptzip
from ptzip.cli.batch.task import FAILED, MEMORY, Result, Task, stamp
from ptzip.io.payloads import Progress
from ptzip.io.sources import Openable
from ptzip.io.urls import redacted
from ptzip.json_output import error_dict
from ptzip.render import words
from ptzip.render.messages import message

CODES = {"clean": 0, "review": 1, "unreadable": 2, "malicious": 3}
"""Exit codes of scan, by verdict."""

Seen = Callable[[Any], object]
"""Called with the report itself, in the process that made it."""


def result_of(task: Task, source: Openable | None = None, progress: Progress | None = None, seen: Seen | None = None) -> Result:
    """The result of a task whatever happens, so that one file never ends a run of many."""
    try:
        return run_task(task, source, progress, seen)
    except Exception as error:
        outcome, reason = _outcome(error)
    return failure(task, outcome, reason)  # here, since the error held what took the memory


def _outcome(error: Exception) -> tuple[str, str]:
    """What came of a file that no report is on, and why."""
    if _is_of_memory(error):
        return MEMORY, f"reading it takes too much: {str(error) or 'out of memory'}"
    if isinstance(error, RecursionError):
        return FAILED, f"reading it takes too much: {error}"
    return FAILED, f"this is a defect of ptzip: {type(error).__name__}: {error}"


def _is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, which the system reports of its calls, and Python of threads, as other errors."""
    chain = (error, error.__cause__, error.__context__)
    return any(isinstance(one, MemoryError) or getattr(one, "errno", None) == errno.ENOMEM for one in chain) or (
        isinstance(error, RuntimeError) and "new thread" in str(error)
    )


def run_task(task: Task, source: Openable | None = None, progress: Progress | None = None, seen: Seen | None = None) -> Result:
    """The result of a task; `source` is what to open instead of its path, if that is no name of a file."""
    started, mark = time.perf_counter(), stamp(task)
    if task.refusal:
        return failure(task, FAILED, task.refusal)
    words.WIDTH = task.shown.get("width", words.WIDTH)
    try:
        found = VERBS[task.command](task.path if source is None else source, task, progress, seen)
    except (ptzip.PtzipError, OSError, ValueError) as error:
        if _is_of_memory(error):
            raise
        found = failure(task, FAILED, message(error, redacted(task.path)), getattr(error, "__notes__", ()))
    if task.for_registry:
        found = found._replace(registry=_registry(task, found))
    return found._replace(stamp=mark, seconds=time.perf_counter() - started)


def failure(task: Task, outcome: str, reason: str, warnings: Iterable[str] = ()) -> Result:
    """The result where there is no report; a scan has one all the same, since what was not read is never clean."""
    path = redacted(task.path)
    if task.command == "scan":
        found = _scanned(ptzip.ScanReport(path, ptzip.Verdict.UNREADABLE, reason=reason), task)
        return found if outcome == FAILED else found._replace(outcome=outcome)
    notes = tuple(warnings)
    report = error_dict(reason, path=path, **({"warnings": list(notes)} if notes else {}))
    return Result(path, outcome, 2, report, warnings=notes, error=reason)


def _scan(source: Openable, task: Task, _progress: Progress | None, _seen: Seen | None) -> Result:
    return _scanned(ptzip.scan(source, **task.options), task)


def _scanned(report: "ptzip.ScanReport", task: Task) -> Result:
    from ptzip.render.scan import lines  # here and below: only the command that runs is loaded

    shown = tuple(lines(report, task.shown["verbose"])) if task.shown else ()
    return Result(redacted(task.path), report.verdict.value, CODES[report.verdict], report.to_dict(), shown)


def _verify(source: Openable, task: Task, progress: Progress | None, _seen: Seen | None) -> Result:
    from ptzip.render.verify import lines  # as above

    report = ptzip.verify(source, progress=progress, **task.options)
    shown = tuple(lines(report)) if task.shown else ()
    return Result(redacted(task.path), "intact" if report.ok else "damaged", int(not report.ok), report.to_dict(), shown)


def _inspect(source: Openable, task: Task, _progress: Progress | None, _seen: Seen | None) -> Result:
    from ptzip.render.inspect import lines  # as above

    report = ptzip.inspect(source, **task.options)
    shown = tuple(lines(report)) if task.shown else ()
    return Result(redacted(task.path), "read" if report.ok else "incomplete", 0 if report.ok else 2, report.to_dict(), shown)


def _slim(source: Openable, task: Task, progress: Progress | None, seen: Seen | None) -> Result:
    from dataclasses import replace  # as above

    from ptzip.render.slim import plan_lines, slim_lines  # as above

    report = ptzip.slim(source, progress=progress, **task.options)
    if task.shown.get("output") and report.output:
        report = replace(report, output=task.shown["output"])
    if seen:
        seen(report)
    is_dry = task.options.get("dry_run", False)
    shown = (*slim_lines(report), *(plan_lines(report) if is_dry else ())) if task.shown else ()
    outcome = "already slim" if report.already_slim else "would be slimmed" if is_dry else "slimmed"
    return Result(redacted(task.path), outcome, 0, report.to_dict(), tuple(shown), report.warnings)


def _registry(task: Task, found: Result) -> dict[str, Any]:
    """What a page about all files has of this one; of a file that does not open, its verdict alone."""
    from ptzip.inspecting.registry import storage_sums  # as above

    limits = task.options["limits"]
    safety = found.report.get("safety") or {}
    facts: dict[str, Any] = {"verdict": found.report.get("verdict") or safety.get("verdict") or "unreadable", "saved": 0}
    try:
        report = ptzip.inspect(task.path, scan=False, limits=limits)
        with ptzip.open(task.path, limits) as checkpoint:
            sums = storage_sums(checkpoint)
    except (ptzip.PtzipError, OSError, ValueError, MemoryError, RecursionError):
        return facts
    slim = report.slimming
    more = {"format": report.format, "framework": slim.recipe, "torch": words.releases(report.versions)}
    return facts | more | {"saved": slim.saved, "storages": sums}


VERBS = {"scan": _scan, "verify": _verify, "inspect": _inspect, "slim": _slim}
