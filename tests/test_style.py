"""The code is formatted, linted and typed: the same command that runs the tests says so."""

import subprocess
import sys

import pytest

from tests.corpus import ROOT

pytestmark = pytest.mark.slow

CHECKS = (
    pytest.param(["ruff", "format", "--check", "."], id="formatted"),
    pytest.param(["ruff", "check", "."], id="linted"),
    pytest.param(["mypy"], id="typed"),
)


@pytest.mark.parametrize("command", CHECKS)
def test_the_code_is(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
