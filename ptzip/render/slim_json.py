"""Reports as plain data for JSON: names and numbers, sizes in bytes."""

from typing import Any

from ptzip.slimming.report import CastTensor, Check, SlimReport


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
        "changes": [{"step": change.category.value, "path": change.path, "what": change.what} for change in report.changes],
        "overflowed": report.loss.overflowed if report.loss else None,
        "vanished": report.loss.vanished if report.loss else None,
        "nan": report.loss.nan if report.loss else None,
        "infinite": report.loss.infinite if report.loss else None,
        "kept_wide": list(report.wide),
        "keys": [{"name": key.name, "what": key.what, "size": key.size} for key in report.keys],
        "tensors": [_tensor(tensor) for tensor in report.tensors],
        "check": _check(report.check) if report.check else None,
        "warnings": list(report.warnings),
    }


def _tensor(tensor: CastTensor) -> dict[str, Any]:
    """One cast; a tensor that stayed as it was has the same dtype before and after."""
    return {
        "names": list(tensor.names),
        "old_dtype": tensor.old_dtype,
        "dtype": tensor.dtype,
        "numel": tensor.numel,
        "overflowed": tensor.loss.overflowed,
        "vanished": tensor.loss.vanished,
        "nan": tensor.loss.nan,
        "infinite": tensor.loss.infinite,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "tensors": check.tensors,
        "equal": check.equal,
        "largest_absolute_error": check.worst.absolute,
        "largest_relative_error": check.worst.relative,
        "subnormal": check.worst.subnormal,
        "missing": check.missing,
        "unread": check.unread,
    }
