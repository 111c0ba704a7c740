"""`--dedupe`: storages with the same bytes are written once, and nothing else is taken for the same."""

from pathlib import Path
from typing import Any

import ptzip
from ptzip.editing.account import Category
from tests.checkpoint_builder import CheckpointBuilder, key_at, numbers, values_at


def shared(builder: CheckpointBuilder, tmp_path: Path, root: Any, **options: Any) -> tuple[ptzip.SlimReport, ptzip.Checkpoint]:
    path = builder.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "out.pt", dedupe=True, recipe="generic", **options)
    return report, ptzip.open(report.output or path)


def test_storages_with_the_same_bytes_are_one(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {f"{name}.weight": builder.tensor(numbers(50)) for name in "abc"} | {
        "d.weight": builder.tensor(numbers(50, first=2))
    }
    report, found = shared(builder, tmp_path, state, dtype="keep")
    with found:
        keys = [key_at(found, name) for name in state]
        assert keys == ["0", "0", "0", "1"]
        assert values_at(found, "c.weight").tolist() == numbers(50).tolist()
        assert values_at(found, "d.weight").tolist() == numbers(50, first=2).tolist()
    assert report.saved[Category.SHARED] == 2 * 200
    assert report.saved[Category.HALF] == 0


def test_what_is_cast_counts_by_the_bytes_that_it_has_then(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {f"{name}.weight": builder.tensor(numbers(50)) for name in "ab"}
    report, found = shared(builder, tmp_path, state)
    with found:
        assert len(found.storages) == 1
    assert report.saved[Category.SHARED] == 100
    assert report.saved[Category.HALF] == 200
    assert report.loss is not None


def test_other_dtypes_and_lengths_are_no_copies(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    same_bytes = numbers(4).view("int32")
    state = {"a.weight": builder.tensor(numbers(4)), "ids": builder.tensor(same_bytes), "b.weight": builder.tensor(numbers(3))}
    report, found = shared(builder, tmp_path, state, dtype="keep")
    found.close()
    assert report.already_slim


def test_without_the_flag_copies_stay(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {f"{name}.weight": builder.tensor(numbers(9)) for name in "ab"})
    ptzip.slim(path, tmp_path / "out.pt")
    with ptzip.open(tmp_path / "out.pt") as found:
        assert len(found.storages) == 2


def test_what_is_the_same_once_it_is_cast_or_moved_is_shared_at_once(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {"a.weight": builder.tensor(numbers(9) + 1e-4), "b.weight": builder.tensor(numbers(9))}
    builder.location = "cuda:0"
    state |= {"c.weight": builder.tensor(numbers(9))}
    report, found = shared(builder, tmp_path, state)
    with found:
        assert len({key_at(found, name) for name in state}) == 1
    assert report.loss is not None
    assert ptzip.slim(tmp_path / "out.pt", dedupe=True).already_slim
