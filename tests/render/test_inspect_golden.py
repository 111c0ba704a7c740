"""What `inspect` shows of every fixture, against files that were looked at: `fixtures/NAME.inspect.txt`.

They are written anew by `PTZIP_REWRITE=1 python -m pytest tests/render/test_inspect_golden.py`; read the difference then.
"""

import os
from pathlib import Path

import pytest

import ptzip
from ptzip.inspecting.view import TENSORS, TREE, View, view_content
from ptzip.render import inspect, inspect_views
from tests.corpus import FIXTURES

REWRITES = os.environ.get("PTZIP_REWRITE", "") not in ("", "0")

PATHS = sorted(FIXTURES.glob("*.pt"))

TREES = ("training", "ultralytics-8.4")
"""The fixtures of which the tree is kept too; those of the others are much the same."""


def shown(path: Path) -> str:
    """The screenful and some views of a fixture, which is called by its name alone."""
    lines = list(inspect.lines(ptzip.inspect(path.name)))
    with ptzip.open(path.name) as checkpoint:
        for view in (View(TENSORS), *([View(TREE)] if path.stem in TREES else [])):
            lines += ["", *inspect_views.lines(path.name, view, view_content(checkpoint, view))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_inspect_shows_of_a_fixture_what_it_did(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    golden = path.with_suffix(".inspect.txt")
    if REWRITES:
        golden.write_text(shown(path))
    assert shown(path) == golden.read_text()


def test_every_golden_file_has_its_fixture() -> None:
    assert [path.name.removesuffix(".inspect.txt") for path in sorted(FIXTURES.glob("*.inspect.txt"))] == [
        p.stem for p in PATHS
    ]
