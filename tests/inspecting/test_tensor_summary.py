"""Duplicate storages are found by the CRCs of the file."""

from pathlib import Path

import ptzip
from ptzip.inspecting.tensor_summary import Duplicates, duplicates
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import ptzip as run


def test_copies_are_counted_and_their_originals_are_not(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {f"{name}.weight": builder.tensor(numbers(500)) for name in "abc"} | {
        "d.weight": builder.tensor(numbers(500, first=7))
    }
    path = builder.save(tmp_path / "last.pt", state)
    with ptzip.open(path) as found:
        assert duplicates(found.main) == Duplicates(2, 4000)
    assert "identical   4.0 kB in 2 duplicate storages (slim --dedupe)" in run("inspect", path).out


def test_other_dtypes_are_no_copies(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(
        tmp_path / "last.pt", {"a": builder.tensor(numbers(500)), "b": builder.tensor(numbers(500).view("int32"))}
    )
    with ptzip.open(path) as found:
        assert duplicates(found.main) == Duplicates(0, 0)
