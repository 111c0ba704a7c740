"""Nothing of a file is ever executed, opened or fetched by a scan: the whole corpus under an audit hook."""

import json
import subprocess
import sys

from tests.corpus import ROOT, files, needs_corpus


@needs_corpus
def test_scanning_the_whole_corpus_runs_imports_and_writes_nothing() -> None:
    paths = list(map(str, files("threats", "real", "format", "yolo")))
    done = subprocess.run(
        [sys.executable, "-m", "tests.scanning.audited_scan", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)[0] for line in done.stdout.splitlines()[1:]] == paths
