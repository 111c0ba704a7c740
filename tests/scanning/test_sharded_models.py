"""What torch.distributed writes is clean: DDP, FSDP2, DTensor, ShardedTensor, and folders of sharded checkpoints."""

import subprocess
import sys
from pathlib import Path

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan

pytest.importorskip("torch.distributed")
WRITE = "import sys, pathlib; from tests.bench.honest_projects import distributed; distributed(pathlib.Path(sys.argv[1]))"
NAMES = (
    "ddp.pt",
    "dtensor.pt",
    "replicated.pt",
    "fsdp2.pt",
    "sharded.pt",
    "dcp/.metadata",
    "dcp/__0_0.distcp",
    "plain/.metadata",
)


def test_sharded_models_are_clean(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], cwd=root, check=True, capture_output=True)
    for name in NAMES:
        report = scan(tmp_path / name)
        assert report.verdict is Verdict.CLEAN, (name, report.findings)
