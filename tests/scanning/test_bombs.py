"""Bombs: each is a finding, within 2 seconds and 256 MiB, whatever it would do to a loader."""

import json
import subprocess
import sys

import pytest

from tests.corpus import ROOT
from tests.scanning.bombs import BOMBS

pytestmark = pytest.mark.slow

MOST_SECONDS, MOST_MIB = 2, 256


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_found_within_limits_of_time_and_memory(name: str) -> None:
    command = [sys.executable, "-m", "tests.scanning.bombs", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["verdict"] == "review"
    assert result["seconds"] < MOST_SECONDS
    assert result["peak"] < MOST_MIB or result["peak"] < result["before"] + 32, "making the bomb took the memory"
