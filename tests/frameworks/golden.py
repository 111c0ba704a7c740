"""The golden table of `fixtures/frameworks`: what slimming the checkpoint of a framework did when the framework was there.

`tests/slimming/test_framework_fixtures.py` compares it with what slimming does now.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import ptzip

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "frameworks"
TABLE = FOLDER / "golden.json"
DROPPED = re.compile(r"\b(removed|None|emptied)\b")
LEFTOVER = re.compile(r"(\S+) looks like the state of a training")


def read() -> dict[str, dict[str, Any]]:
    """The rows by the names of their checkpoints."""
    rows: dict[str, dict[str, Any]] = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
    return rows


def write(rows: dict[str, dict[str, Any]]) -> None:
    TABLE.write_text(json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def row(report: ptzip.SlimReport, output: Path) -> dict[str, Any]:
    """What a report and the file that was written say, without what depends on the machine."""
    removed = [change for change in report.changes if DROPPED.search(change.what)]
    return {
        "recipe": report.recipe,
        "before": report.old_size,
        "after": report.new_size,
        "dropped": [change.path for change in removed],
        "kept": [found[1] for warning in report.warnings if (found := LEFTOVER.match(warning))],
        "notes": list(report.notes),
        "tensors": tensors(output),
    }


def tensors(path: Path) -> dict[str, str]:
    """Each tensor by its name: dtype, shape, and the beginning of the sha256 of its numbers."""
    with ptzip.open(path) as checkpoint:
        return {
            name: f"{tensor.dtype} {list(tensor.shape)} {hashlib.sha256(tensor.tobytes()).hexdigest()[:16]}"
            for name, tensor in checkpoint.items()
            if tensor.storage is not None
        }
