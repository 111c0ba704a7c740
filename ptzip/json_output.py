"""The JSON that every command prints, and what a notebook shows of a report.

`ptzip help json` documents the JSON, and `help/json.schema.json` describes it for programs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

SCHEMA = 2
"""Raised when a key changes its meaning or goes; new keys do not raise it."""


def envelope(command: str, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a command prints for all files of a run."""
    return {"schema": SCHEMA, "command": command, "files": list(files)}


def report_dict(ok: bool, path: str, **fields: object) -> dict[str, Any]:
    """The report of one file: `ok` is whether the command would exit with 0 for this file alone.

    Named tuples in it become dicts by field name, other tuples lists.
    """
    return {"path": path, "ok": ok, **{name: _plain(value) for name, value in fields.items()}}


class Report(Protocol):
    """What every report can do."""

    def to_dict(self) -> dict[str, Any]: ...


def notebook_html(report: Report) -> str:
    """What a notebook shows of a report."""
    from ptzip.notebook import fact_table  # here, since only notebooks ask for it

    facts = {name: value for name, value in report.to_dict().items() if name != "schema"}
    return fact_table(type(report).__name__, facts)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        as_dict = getattr(value, "_asdict", None)
        return _plain(as_dict()) if as_dict else list(map(_plain, value))
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def error_dict(error: str, path: str, **fields: object) -> dict[str, Any]:
    """The object for a file that could not be processed, instead of a report."""
    return report_dict(False, path, error=error, **fields)
