"""Reports as plain data for JSON: names and numbers, sizes in bytes."""

from typing import Any

from ptzip.api import SlimReport


def slim_data(report: SlimReport) -> dict[str, Any]:
    """One file's report."""
    return {
        "path": report.path,
        "output": report.output,
        "recipe": report.recipe,
        "already_slim": report.already_slim,
        "old_size": report.old_size,
        "new_size": report.new_size,
        "saved": {step.value: count for step, count in report.saved.items()} | {"pickle and zip": report.rest},
        "saved_share": round(report.saved_share, 4),
        "changes": [{"step": change.step.value, "path": change.path, "what": change.what} for change in report.changes],
        "overflowed": report.loss.overflowed if report.loss else None,
        "vanished": report.loss.vanished if report.loss else None,
        "warnings": list(report.warnings),
    }
