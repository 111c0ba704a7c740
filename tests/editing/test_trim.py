"""Dead bytes go, and nothing else: every tensor has the same numbers, and what shared a storage still does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptzip
from ptzip.editing.account import Category
from ptzip.editing.trim import islands
from ptzip.pickling.nodes import Node
from ptzip.tensors.references import tensor_ref
from tests.checkpoint_builder import CheckpointBuilder, called, key_at, numbers, tensor_at, values_at
from tests.torch_zips import storage_record


def trimmed(builder: CheckpointBuilder, folder: Path, root: Any, **options: Any) -> ptzip.Checkpoint:
    path = builder.save(folder / "last.pt", root)
    report = ptzip.slim(path, folder / "out.pt", **{"recipe": "generic", "dtype": "keep"} | options)
    return ptzip.open(report.output or path)


def sizes(checkpoint: ptzip.Checkpoint) -> list[int]:
    return [storage_record(checkpoint, key).size for key in checkpoint.storages]


def test_a_storage_is_cut_to_the_view_on_it(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    view = builder.view(builder.storage(numbers(1000)), (2, 3), (3, 1), 500)
    with trimmed(builder, tmp_path, {"a.weight": view}) as found:
        assert sizes(found) == [24]
        assert values_at(found, "a.weight").tolist() == [[501, 502, 503], [504, 505, 506]]
        assert tensor_at(found, "a.weight").storage.numel == 6


def test_tensors_on_one_storage_stay_on_one_in_their_order(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    large = builder.storage(numbers(1000))
    root = {
        "b": builder.view(large, (4,), (1,), 900),
        "a": builder.view(large, (3,), (1,), 10),
        "c": builder.view(large, (3,), (1,), 902),
    }
    with trimmed(builder, tmp_path, root) as found:
        assert sizes(found) == [4 * (3 + 5)]
        assert [tensor_at(found, name).offset for name in "abc"] == [0, 3, 5]
        assert {key_at(found, name) for name in "abc"} == {"0"}
        assert values_at(found, "c").tolist() == [903, 904, 905]


@pytest.mark.parametrize(
    ("shape", "stride", "new"),
    [
        pytest.param((4,), (10,), (1,), id="every tenth"),
        pytest.param((3, 4), (100, 1), (4, 1), id="columns"),
        pytest.param((4, 3), (1, 100), (1, 4), id="transposed columns"),
        pytest.param((3, 5, 2), (200, 0, 7), (2, 0, 1), id="expanded"),
        pytest.param((1, 4), (1, 10), (1, 1), id="a dimension of one"),
    ],
)
def test_gaps_between_the_elements_of_a_tensor_go(
    shape: tuple[int, ...], stride: tuple[int, ...], new: tuple[int, ...], tmp_path: Path
) -> None:
    builder = CheckpointBuilder()
    base = numbers(1000)
    with trimmed(builder, tmp_path, {"a": builder.view(builder.storage(base), shape, stride, 5)}) as found:
        one = tensor_at(found, "a")
        assert (one.offset, one.shape, one.stride) == (0, shape, new)
        expected = np.lib.stride_tricks.as_strided(base[5:], shape, [4 * step for step in stride])
        assert sizes(found) == [4 * np.unique(expected).size]
        np.testing.assert_array_equal(values_at(found, "a"), expected)


def test_a_storage_that_something_else_refers_to_is_left_alone(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    large = builder.storage(numbers(100))
    view = builder.view(large, (2,), (1,), 7)
    bare = builder.view(large, (1,)).arguments[0]
    assert isinstance(bare, Node)
    with trimmed(builder, tmp_path, {"a": view, "storage": bare}, drop=["x"]) as found:
        assert sizes(found) == [400]


def test_a_tensor_of_another_kind_keeps_its_storage(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    holder = builder.view(builder.storage(numbers(100)), (1,)).arguments[0]
    other = called("torch._utils", "_rebuild_qtensor", holder, 0, (2,), (1,), None, False, None)
    with trimmed(builder, tmp_path, {"a": other}) as found:
        assert sizes(found) == [400]


def test_the_flag_keeps_storages_whole(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    with trimmed(builder, tmp_path, {"a": builder.view(builder.storage(numbers(100)), (2,))}, trim=False) as found:
        assert sizes(found) == [400]


def test_the_report_says_how_many_bytes_were_dead(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"a.weight": builder.view(builder.storage(numbers(100)), (2,))})
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert (report.saved[Category.DEAD], report.saved[Category.HALF]) == (392, 4)


@st.composite
def views(draw: st.DrawFn) -> list[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Shapes, strides and offsets of views on a storage of 60 elements."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        stride = tuple(draw(st.integers(0, 6)) for _ in shape)
        span = sum((size - 1) * step for size, step in zip(shape, stride, strict=True) if size) + 1
        found.append((shape, stride, draw(st.integers(0, max(0, 60 - span)))))
    return [(shape, stride, offset) for shape, stride, offset in found if offset + 18 + 1 <= 60 or 0 in shape]


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=200)
@given(views())
def test_any_views_have_the_same_numbers_afterwards(tmp_path_factory: pytest.TempPathFactory, found: Any) -> None:
    base, builder = numbers(100), CheckpointBuilder()
    storage = builder.storage(base)
    root = {str(index): builder.view(storage, *view) for index, view in enumerate(found)}
    with trimmed(builder, tmp_path_factory.mktemp("trim"), root or {"a": 1}, drop=["x"]) as slim:
        for index, (shape, stride, offset) in enumerate(found):
            expected = np.lib.stride_tricks.as_strided(base[offset:], shape, [4 * step for step in stride])
            np.testing.assert_array_equal(values_at(slim, str(index)), expected)
        assert len({key_at(slim, str(index)) for index in range(len(found))}) <= 1


def test_islands_are_apart() -> None:
    builder = CheckpointBuilder()
    large = builder.storage(numbers(100))
    found = [tensor_ref(builder.view(large, (5,), (1,), start)) for start in (40, 3, 7, 12)]
    assert [(one.first, one.stop) for one in islands(one for one in found if one)] == [(3, 12), (12, 17), (40, 45)]
