"""The results of a run as JSON Lines: one line for each file as it ends, by which a later run knows what is done.

A line is written at once and whole, so of a run that was killed at most the last line is torn; that is cut off.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import ptzip
from ptzip.cli.batch.task import FAILURES, Result, Task, stamp
from ptzip.errors import EditError
from ptzip.io.urls import is_url, redacted
from ptzip.json_output import SCHEMA

BEGINNING = b'{"schema":'
"""How every line begins; no other file is continued."""

FIELDS: Mapping[str, Any] = {
    "command": str,
    "outcome": str,
    "code": int,
    "seconds": float,
    "stamp": list | None,
    "task": str,
    "report": dict,
}
"""What every line has, and of which kind."""


class Log:
    """A file of results, used in a `with` block. With `resume`, what an earlier run wrote there is read and continued."""

    def __init__(self, path: str, resume: bool) -> None:
        self._done = dict[str, int]()
        if not resume and Path(path).exists():
            raise EditError(f"{path} already exists: continue it with --resume {path}, or choose another name")
        self._file: BinaryIO = Path(path).open("a+b")  # noqa: SIM115 (closed by __exit__)
        try:
            self._read(path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._file.close()

    def _read(self, path: str) -> None:
        """Note where the last line of each path is, and cut off a torn one."""
        self._file.seek(0)
        if not BEGINNING.startswith(self._file.read(len(BEGINNING))):
            raise EditError(f"{path} is not what --jsonl writes: name another file to resume")
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            if entry := _entry(line):
                self._done[entry["report"]["path"]] = end
            end += len(line)
        self._file.truncate(end)

    def is_done(self, task: Task) -> bool:
        """Whether an earlier run has a result for the same task, and the file and its output are still there as they were."""
        entry = self._entry_of(redacted(task.path))
        if entry is None or entry["outcome"] in FAILURES or entry["task"] != _fingerprint(task):
            return False
        output = entry["report"].get("output")
        is_same = entry["stamp"] is not None and tuple(entry["stamp"]) == stamp(task)
        return is_same and (not output or is_url(output) or Path(output).exists())

    def earlier(self, task: Task) -> Result:
        """The result of an earlier run, which has one."""
        path = redacted(task.path)
        entry = self._entry_of(path) or {}
        mark = entry["stamp"] and tuple(entry["stamp"])
        return Result(
            path,
            entry["outcome"],
            entry["code"],
            entry["report"],
            stamp=mark,
            seconds=entry["seconds"],
            registry=entry.get("registry"),
        )

    def _entry_of(self, path: str) -> dict[str, Any] | None:
        if path not in self._done:
            return None
        self._file.seek(self._done[path])
        return _entry(self._file.readline())

    def append(self, task: Task, found: Result) -> None:
        """Write the line of a file."""
        entry = {
            "schema": SCHEMA,
            "command": task.command,
            "version": ptzip.__version__,
            "outcome": found.outcome,
            "code": found.code,
            "seconds": round(found.seconds, 6),
            "stamp": found.stamp,
            "task": _fingerprint(task),
            "report": found.report,
            **({"registry": found.registry} if task.for_registry else {}),
        }
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line of a log; None for any other, as one that was edited."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(line)
        is_whole = found["schema"] == SCHEMA and all(isinstance(found[key], kind) for key, kind in FIELDS.items())
        if is_whole and isinstance(found["report"]["path"], str) and found["outcome"] == _outcome(found):
            return dict(found)
    return None


def _outcome(entry: Mapping[str, Any]) -> object:
    """The outcome by the report, of which scan takes its exit code, where that has it."""
    is_scan = entry["command"] == "scan" and entry["outcome"] not in FAILURES
    return entry["report"]["verdict"] if is_scan else entry["outcome"]


def _fingerprint(task: Task) -> str:
    """What tells a task from one with other options, or of another version."""
    text = json.dumps([ptzip.__version__, task.command, task.options, task.for_registry], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
