"""SARIF: what a library of others reads back is what the scan found."""

import json
from pathlib import Path
from typing import Any

from sarif_pydantic import Sarif

from ptzip.render.sarif import sarif_data
from ptzip.scanning.rules import RULES
from ptzip.scanning.scan import scan
from tests.corpus import CORPUS, files, needs_corpus
from tests.scanning.raw_pickles import PAYLOAD, name, valued


def read_back(data: dict[str, Any]) -> Sarif:
    return Sarif.model_validate_json(json.dumps(data))


def test_a_library_reads_the_report_back(tmp_path: Path) -> None:
    for file, data in (("bad file.pt", valued(PAYLOAD)), ("unknown.pt", valued(name("models.X"))), ("noise.pt", b"\xff" * 9)):
        (tmp_path / file).write_bytes(data)
    reports = [scan(path) for path in sorted(tmp_path.iterdir())]
    (run,) = read_back(sarif_data([report.to_dict() for report in reports], "1.2.3")).runs
    assert (run.tool.driver.name, run.tool.driver.version) == ("ptzip", "1.2.3")
    results = run.results or []
    assert [(result.rule_id, result.level and result.level.value) for result in results] == [
        ("PTZ101", "error"),
        ("PTZ000", "error"),
        ("PTZ104", "warning"),
    ]
    place = results[0].locations[0].physical_location
    assert place is not None
    assert place.artifact_location.uri.endswith("bad%20file.pt")


def test_every_rule_is_described() -> None:
    described = sarif_data([], "1")["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described][1:] == [rule.id for rule in RULES]
    assert all(rule["fullDescription"]["text"] for rule in described[1:])


@needs_corpus
def test_the_whole_corpus_of_threats_makes_a_report_that_is_read_back() -> None:
    reports = [scan(path) for path in files("threats")]
    (run,) = read_back(sarif_data([report.to_dict() for report in reports], "1")).runs
    stopped = {report.path for report in reports if report.verdict != "clean"}
    named = {result.locations[0].physical_location.artifact_location.uri for result in run.results or []}
    assert stopped <= named
    assert CORPUS.is_dir()
