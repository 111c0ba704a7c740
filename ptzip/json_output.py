"""The JSON that every report has in common, which README section "JSON" documents, and what a notebook shows of it."""

from collections.abc import Mapping
from typing import Any, Protocol

SCHEMA = 1
"""Raised when a key changes its meaning or goes; new keys do not raise it."""


def report_dict(ok: bool, **fields: object) -> dict[str, Any]:
    """A report: `ok` is whether the command would exit with 0 for this file alone.

    Named tuples in it become dicts by field name, other tuples lists.
    """
    return {"schema": SCHEMA, "ok": ok, **{name: _plain(value) for name, value in fields.items()}}


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


def error_dict(error: str, **fields: object) -> dict[str, Any]:
    """The object for a file that could not be processed, instead of a report."""
    return report_dict(False, **fields, error=error)
