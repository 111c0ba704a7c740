"""The corpus under `scan`: every attack is stopped, no honest file is accused.

Rule: "suspicious" of the manifest is `review` here; stopped is every verdict but clean. Nothing of `threats` is ever loaded.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ptzip.scanning.report import Severity, Verdict
from ptzip.scanning.scan import scan
from tests.corpus import CORPUS, files, manifest, needs_corpus, parameters

EXPECTED = {"malicious": Verdict.MALICIOUS, "suspicious": Verdict.REVIEW, "clean": Verdict.CLEAN}
SHARE_CALLED_MALICIOUS = 0.93

HOSTILE = "gh__mmaitre314__picklescan/pytorch_magic_bypass.pt"
"""The one hostile file among those that were found in public."""

HELD = {
    "syn/empty_prefix.pt": "PTZ306",  # the names of all its records begin with a slash
}
"""Files made by hand that weights_only accepts, and the container or tensor rule that holds them for review."""


def threats() -> list[dict[str, Any]]:
    found: Any = manifest("threats")
    return list(found)


@needs_corpus
def test_every_attack_is_stopped_and_no_clean_file(record_property: Any) -> None:
    found = {entry["name"]: scan(CORPUS / "threats" / entry["name"]).verdict for entry in threats()}
    table = Counter((entry["expected"], found[entry["name"]].value) for entry in threats())
    print()
    for (expected, verdict), count in sorted(table.items()):
        print(f"{expected:<12} {verdict:<12} {count:>5}")
    stopped = {entry["name"]: found[entry["name"]] != Verdict.CLEAN for entry in threats()}
    assert [entry["name"] for entry in threats() if stopped[entry["name"]] != (entry["expected"] != "clean")] == []
    malicious = [found[entry["name"]] == Verdict.MALICIOUS for entry in threats() if entry["expected"] == "malicious"]
    assert sum(malicious) >= SHARE_CALLED_MALICIOUS * len(malicious)


def accepted(path: Path) -> bool:
    """Whether torch loads a file with weights_only, by the manifest."""
    folder, name = path.relative_to(CORPUS).parts[0], str(Path(*path.relative_to(CORPUS).parts[1:]))
    if folder == "yolo":
        return False
    entries = manifest(folder)["files"]
    entry = next(one for one in entries if one.get("file", one.get("dest")) == name)
    return entry.get("weights_only", entry.get("weights_only_true")) in (True, "ok")


@pytest.mark.parametrize("path", parameters("real", "format", "yolo"))
def test_no_honest_file_is_called_malicious_and_what_weights_only_takes_is_clean(path: Path) -> None:
    report = scan(path)
    name = "/".join(path.parts[-2:])
    if name == HOSTILE:
        assert report.verdict == Verdict.MALICIOUS
    elif accepted(path) and name not in HELD:
        assert report.verdict == Verdict.CLEAN, report.findings
    else:
        assert report.verdict != Verdict.MALICIOUS, report.findings


@needs_corpus
def test_files_for_review_are_so_by_a_rule_about_containers_or_tensors() -> None:
    for name, rule in HELD.items():
        report = scan(CORPUS / "format" / name)
        assert report.verdict == Verdict.REVIEW
        assert {found.rule for found in report.findings if found.severity > Severity.NOTE} == {rule}


@pytest.mark.parametrize("path", parameters("threats", "real", "format", "yolo"))
def test_every_finding_has_a_location(path: Path) -> None:
    report = scan(path)
    assert report.path == str(path)
    assert all(found.message and "\n" not in found.message for found in report.findings)
    assert (report.reason != "") == (report.verdict == Verdict.UNREADABLE) or report.verdict == Verdict.MALICIOUS


@needs_corpus
def test_bytes_and_paths_are_scanned_alike() -> None:
    for path in files("threats")[::7]:
        by_path, by_bytes = scan(path), scan(path.read_bytes())
        assert (by_path.verdict, by_path.findings) == (by_bytes.verdict, by_bytes.findings)
