"""The README's examples print what it shows."""

import pytest

from tests.corpus import ROOT
from tests.examples import PYTHON, assert_examples_print, run_program

README = (ROOT / "README.md").read_text()


def test_the_readme_shows_what_ptzip_prints() -> None:
    assert_examples_print(ROOT / "README.md", 100)


@pytest.mark.parametrize("program", PYTHON.findall(README))
def test_the_python_of_the_readme_runs(program: str) -> None:
    run_program(program)
