"""The JSON that every report has in common; README section "JSON" documents it."""

from typing import Any

SCHEMA = 1
"""Raised when a key changes its meaning or goes; new keys do not raise it."""


def report_dict(ok: bool, **fields: object) -> dict[str, Any]:
    """A report: `ok` is whether the command would exit with 0 for this file alone."""
    return {"schema": SCHEMA, "ok": ok, **fields}


def error_dict(error: str, **fields: object) -> dict[str, Any]:
    """What takes the place of a report where a file could not be processed."""
    return report_dict(False, **fields, error=error)
