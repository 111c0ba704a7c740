"""The results of a run: printed file by file as they come, or at the end as one JSON object."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ptzip.cli.batch.task import Result
from ptzip.cli.printing import as_json, complain, show, show_lines
from ptzip.io.urls import redacted
from ptzip.json_output import envelope, error_dict
from ptzip.render.messages import message

FAILED = 2

Entry = Callable[[], dict[str, Any]]
"""Computes what JSON has of a file."""


class Results:
    """What `command` finds in each file; `code` is the exit code, the worst of all files."""

    def __init__(self, command: str, is_json: bool) -> None:
        self.code = 0
        self._command, self._is_json = command, is_json
        self._entries = list[dict[str, Any]]()

    def add(self, name: str, entry: Entry, lines: Iterable[str] = (), code: int = 0, warnings: Sequence[str] = ()) -> None:
        """The report of a file, as data and as text, of which only what is printed is computed."""
        self.code, name = max(self.code, code), redacted(name)
        for warning in warnings:
            complain("warning", f"{name}: {warning}")
        if self._is_json:
            self._entries.append(entry())
        else:
            show_lines(lines)

    def take(self, found: Result, code: int, has_lines: bool = True) -> None:
        """The result of a task, with its exit code in this run."""
        if found.error:
            self._fail(found.path, found.error, found.warnings)
        else:
            self.add(found.path, lambda: dict(found.report), found.lines if has_lines else (), code, found.warnings)

    def fail(self, name: str, error: Exception | str) -> None:
        """Why there is no report of a file; notes of an error are warnings about the file."""
        text = error if isinstance(error, str) else message(error, name)
        self._fail(redacted(name), text, getattr(error, "__notes__", ()))

    def _fail(self, name: str, text: str, warnings: Sequence[str]) -> None:
        self.code = FAILED
        complain("error", f"{name}: {text}")
        for warning in warnings:
            complain("warning", f"{name}: {warning}")
        self._entries.append(error_dict(text, path=name, **({"warnings": list(warnings)} if warnings else {})))

    def end(self) -> int:
        """Print the JSON if it is wanted; returns the exit code."""
        if self._is_json:
            show(as_json(envelope(self._command, self._entries)))
        return self.code
