"""`tensor[key]` gives what numpy gives for the key, and reads only the bytes that the key selects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.io.sources import FileSource
from tests.checkpoint_builder import CheckpointBuilder, numbers

KEYS: list[Any] = [
    *(0, -1, np.int64(2), (1, 2), (1, 2, 3), (-1, -1, -1)),
    *(slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(3, 0, -2), slice(2, 2), slice(5, 99)),
    *(
        (slice(None), 1),
        (slice(1, 3), slice(None), slice(0, 4, 3)),
        (slice(None, None, -2), slice(None), slice(None, None, -1)),
    ),
    *(..., (..., 0), (0, ...), (0, ..., slice(None, None, -1)), (), None, (None, 0), (..., None), (slice(1, 2), None, 2)),
    *((1, 2, 3, ...), (0, ..., 1, 2), slice(2, None, 10**25), (0, slice(None, None, -(10**25)))),
    *([0, 2], (slice(None), [1, 1]), np.array([True, False, True, False, True]), (..., np.array([0, 3]))),
]


class CountingSource(FileSource):
    """A file that counts the bytes that are read."""

    count = 0

    def read(self, offset: int, length: int) -> bytes:
        self.count += length
        return super().read(offset, length)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Checkpoint, dict[str, npt.NDArray[Any]]]]:
    """A file with a contiguous tensor, and one that is transposed on a part of its storage."""
    builder = CheckpointBuilder()
    plain = numbers(5 * 3 * 4)
    storage = builder.storage(numbers(100))
    root = {"plain": builder.tensor(plain.reshape(5, 3, 4)), "turned": builder.view(storage, (5, 3, 4), (1, 20, 5), 7)}
    path = builder.save(tmp_path / "a.pt", root)
    with ptzip.open(path) as checkpoint:
        yield checkpoint, {name: tensor.numpy() for name, tensor in checkpoint.items()}


@pytest.mark.parametrize("name", ["plain", "turned"])
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_slice_is_what_numpy_gives(name: str, key: Any, opened: tuple[Checkpoint, dict[str, npt.NDArray[Any]]]) -> None:
    checkpoint, arrays = opened
    found, expected = checkpoint[name][key], arrays[name][key]
    assert (type(found), found.shape, found.dtype) == (type(expected), expected.shape, expected.dtype)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("key", [5, -6, (0, 3), (0, 0, 0, 0), (..., ...)], ids=repr)
def test_an_index_out_of_bounds_is_an_index_error(key: Any, opened: tuple[Checkpoint, dict[str, npt.NDArray[Any]]]) -> None:
    checkpoint, _ = opened
    with pytest.raises(IndexError):
        checkpoint["plain"][key]


def test_a_tensor_is_an_array_for_numpy(opened: tuple[Checkpoint, dict[str, npt.NDArray[Any]]]) -> None:
    checkpoint, arrays = opened
    assert np.array_equal(np.asarray(checkpoint["turned"]), arrays["turned"])
    assert np.asarray(checkpoint["turned"], dtype=np.float64).dtype == np.float64
    assert np.add(checkpoint["plain"], 1).shape == (5, 3, 4)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="without a copy"):
            np.asarray(checkpoint["plain"], copy=False)


def test_the_text_of_a_tensor_says_what_it_is(opened: tuple[Checkpoint, dict[str, npt.NDArray[Any]]]) -> None:
    checkpoint, _ = opened
    assert repr(checkpoint["plain"]) == "<Tensor float32 [5, 3, 4], 240 bytes>"
    assert repr(checkpoint["turned"]) == "<Tensor float32 [5, 3, 4], stride [1, 20, 5], 240 bytes>"


@pytest.mark.parametrize(
    ("key", "bytes_used"),
    [(slice(10, 20), 40_000), ((0, 0), 4), ((slice(None, None, -1), slice(2, 2)), 0), (-1, 4000), ((slice(500, 502), 7), 4004)],
    ids=repr,
)
def test_only_the_bytes_of_a_slice_are_read(key: Any, bytes_used: int, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"a": builder.tensor(numbers(1_000_000).reshape(1000, 1000))})
    source = CountingSource(path)
    with Checkpoint(source) as checkpoint:
        tensor = checkpoint["a"]
        _ = tensor[0, 0]  # reads the local header
        before = source.count
        _ = tensor[key]
        assert source.count - before <= bytes_used


def test_rows_far_apart_are_read_one_by_one(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"a": builder.tensor(numbers(1_000_000).reshape(100, 10_000))})
    source = CountingSource(path)
    with Checkpoint(source) as checkpoint:
        tensor = checkpoint["a"]
        before = source.count
        part = tensor[:, 500:510]
        assert source.count - before < 100 * 10 * 4 + 1000
        assert np.array_equal(part, tensor.numpy()[:, 500:510])
