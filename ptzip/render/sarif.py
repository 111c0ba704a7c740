"""Scans as SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format), which code hosts show beside the files."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ptzip.scanning.rules import RULES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"note": "note", "review": "warning", "malicious": "error"}
UNREADABLE = "PTZ000"
"""The rule under which a file that cannot be read is listed: it never passes for clean."""


def sarif_data(reports: Iterable[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """One run with every finding of every file, of reports as `ScanReport.to_dict` returns them."""
    reports = list(reports)
    results = [result for report in reports for result in _results(report)]
    trust = {name: sorted({one for report in reports for one in report[name]}) for name in ("trust", "trusted")}
    driver = {"name": "ptzip", "version": version, "rules": _rules()}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results, "properties": trust}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules() -> list[dict[str, Any]]:
    unreadable = {"id": UNREADABLE, "shortDescription": {"text": "a file that cannot be read"}}
    return [
        unreadable,
        *(
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "defaultConfiguration": {"level": LEVELS[rule.severity.name.lower()]},
            }
            for rule in RULES
        ),
    ]


def _results(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    path = report["path"]
    for one in report["findings"]:
        text = f"{one['record']}: {one['message']}" if one["record"] else one["message"]
        yield _result(path, one["rule"], LEVELS[one["severity"]], text, None if one["inside"] else one["offset"])
    if report["verdict"] == "unreadable":
        yield _result(path, UNREADABLE, "error", report["reason"], None)


def _result(path: str, rule: str, level: str, text: str, offset: int | None) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": path if "://" in path else uri(PurePath(path))}}
    if offset is not None:
        location["region"] = {"byteOffset": offset, "byteLength": 1}
    return {"ruleId": rule, "level": level, "message": {"text": text}, "locations": [{"physicalLocation": location}]}


def uri(path: PurePath) -> str:
    """A path as a URI reference (RFC 3986), relative where it is; a drive makes it a `file:` URI (RFC 8089)."""
    drive = path.drive.replace("\\", "/") if path.is_absolute() else ""
    scheme = "" if not drive else "file:" if drive.startswith("//") else "file:///"
    rest = path.as_posix().removeprefix(drive)
    return scheme + quote(drive, safe="/:") + quote(rest, errors="surrogateescape")
