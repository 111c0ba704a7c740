"""Storages that are there twice are told by the checksums of the file."""

from pathlib import Path

import ptzip
from ptzip.inspecting.tensor_summary import Duplicates, duplicates
from tests.cli.shell import ptzip as run
from tests.editing.made import Made, numbers


def test_copies_are_counted_and_their_originals_are_not(tmp_path: Path) -> None:
    made = Made()
    state = {f"{name}.weight": made.tensor(numbers(500)) for name in "abc"} | {"d.weight": made.tensor(numbers(500, first=7))}
    path = made.save(tmp_path / "last.pt", state)
    with ptzip.open(path) as found:
        assert duplicates(found.main) == Duplicates(2, 4000)
    assert "identical   4.0 kB of 2 storages are elsewhere too (slim --dedupe)" in run("inspect", path).out


def test_other_dtypes_are_no_copies(tmp_path: Path) -> None:
    made = Made()
    path = made.save(tmp_path / "last.pt", {"a": made.tensor(numbers(500)), "b": made.tensor(numbers(500).view("int32"))})
    with ptzip.open(path) as found:
        assert duplicates(found.main) == Duplicates(0, 0)
