"""What is done with one file, and what comes back, both as plain data that any process can be sent."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ptzip.errors import PtzipError
from ptzip.io.sources import split_member
from ptzip.io.urls import is_url

FAILED, KILLED, TIMEOUT, MEMORY = "failed", "killed", "timeout", "memory"
FAILURES = frozenset((FAILED, KILLED, TIMEOUT, MEMORY))
"""The outcomes of files that have no report: an error; the death of the process that read the file; and the bounds."""


class Task(NamedTuple):
    """A command for one file. `options` are the arguments of its verb, and `shown` how its text is printed, both as JSON has
    them; `refusal` is why it cannot even begin, "" where it can.

    `is_guess` marks a file that a folder has beside those named as checkpoints: if it cannot be read, it is none. With
    `for_registry`, the result has what a page about all files needs. Where the result `is_logged`, files at
    URLs are stamped too, which takes a request.
    """

    command: str
    path: str
    options: Mapping[str, Any]
    shown: Mapping[str, Any]
    refusal: str = ""
    is_guess: bool = False
    for_registry: bool = False
    is_logged: bool = False


class Result(NamedTuple):
    """What a command found in one file: an outcome in a word, the exit code for this file alone, the report as `to_dict`
    returns it, and its text in lines.

    `error` is why there is no report, "" where there is one. `stamp` tells the input from a later one under its name, `seconds`
    is the time that it took, `registry` the fields of `inspecting.registry.Entry` and the `storages`, if they were asked for.
    """

    path: str
    outcome: str
    code: int
    report: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    stamp: tuple[int, int] | None = None
    seconds: float = 0.0
    registry: Mapping[str, Any] | None = None

    @property
    def size(self) -> int:
        """The bytes of the input; 0 where they are not known."""
        return self.stamp[0] if self.stamp else 0

    @property
    def saved(self) -> int:
        """The bytes that `slim` saved, or would save."""
        report = self.report
        forecast: Mapping[str, Any] = report.get("slim") or self.registry or {}
        made = report.get("old_size", 0) - report.get("new_size", 0)
        return int(forecast.get("saved", made))


def stamp(task: Task) -> tuple[int, int] | None:
    """The size of an input in bytes and when it was changed, in nanoseconds, or another number for its version; of a folder,
    those of all files in it. None for what has neither."""
    whole = split_member(task.path)[0]
    try:
        if is_url(whole):
            return _remote_stamp(whole) if task.is_logged else None
        if not os.path.isdir(whole):
            found = [os.stat(whole)]
        else:
            found = [os.stat(os.path.join(folder, name)) for folder, _, names in os.walk(whole) for name in names]
    except (OSError, ValueError, PtzipError):
        return None
    return sum(one.st_size for one in found), max((one.st_mtime_ns for one in found), default=0)


def _remote_stamp(url: str) -> tuple[int, int] | None:
    from ptzip.io.remote import stamp as remote_stamp  # here, since most files are local

    return remote_stamp(url)
